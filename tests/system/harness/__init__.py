# SPDX-License-Identifier: Apache-2.0
"""What the system tests share: the relay, its neighbours, and small tools to ask them questions."""
