// SPDX-License-Identifier: Apache-2.0
//
// corpus_words - what the generated texts are made of: words by falling frequency, UTF-8
#pragma once
#include <string_view>
#include <vector>

namespace bench
{

// Words stand between single spaces.
using Words = std::vector<std::string_view>;
inline Words split(std::string_view text)
{
    Words words;
    for (size_t space; (space = text.find(' ')) != text.npos; text.remove_prefix(space + 1))
        words.push_back(text.substr(0, space));
    words.push_back(text);
    return words;
}

inline const Words english = split(
    "the of and to a in is you that it for on we with your are this be have not at or from by "
    "our will can I as if an all was please new more has which one time but they there would "
    "order when been about my their no so what any out up thank may other message who date "
    "only meeting week could also after do these some next two than first then should report "
    "information account service its into work how list like just number customer team before "
    "project price over day because today address until contact company question regards page "
    "between minutes through delivery change system attached where year without letter "
    "following available document support office morning invoice problem agreement schedule "
    "different possible conference language received department several experience understand "
    "confirmation subscription unfortunately requirements development newsletter appreciate "
    "circumstances don't we're let's well-known e-mail colleagues university neighbourhood");

inline const Words french =
    split("de la le et les à des en un du une que est pour qui dans a par plus pas au sur ne se ce "
          "il nous vous avec être votre cette été notre où très même déjà après société "
          "réunion semaine équipe prochaine numéro téléphone adresse qualité données "
          "français année première réponse dès février août dernière marché intérêt "
          "problème élève général façon reçu garçon bientôt peut-être cœur voilà événement "
          "sécurité livraison commande bonjour merci beaucoup aujourd'hui l'entreprise d'accord "
          "s'il plaît également conférence préparer président château naïve Noël théâtre");

inline const Words german =
    split("der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch "
          "es an werden aus er hat dass sie nach wird bei einer um am sind noch wie einem über "
          "einen so zum war haben nur oder aber vor zur bis mehr durch können müssen würde "
          "schön größe Straße Gespräch Grüße natürlich später während möglich Rückmeldung "
          "Lösung Änderung Übersicht Büro März zusätzlich vollständig außerdem gemäß heißt "
          "Bestellung Lieferung Rechnung freundlichen Wochenende Geschäftsführer Unterlagen "
          "Verfügung Zusammenarbeit Universität Nachricht Öffnungszeiten");

inline const Words spanish =
    split("de la que el en y a los se del las un por con no una su para es al lo como más o pero "
          "sus le ha me si sin sobre este ya entre cuando todo esta ser son dos también fue había "
          "era muy años hasta desde está mi porque qué sólo han yo hay vez puede todos así nos "
          "ni día información señor mañana reunión niños país según teléfono dirección "
          "compañía próxima atención también número español razón últimas política corazón "
          "música jóvenes trabajo pedido gracias cordialmente");

inline const Words russian =
    split("и в не на я что с он как это по но к у из за мы вы от так все о же для бы её мне "
          "было вот его только ещё нет да до или если уже когда при был сейчас будет время "
          "может этого очень можно после раз год году нам вам вас дело день письмо работа "
          "город человек вопрос ответ неделя встреча заказ адрес просьба сообщение спасибо "
          "здравствуйте пожалуйста сегодня завтра утром вечером компания договор документы "
          "информация уважаемые коллеги доставка телефон понедельник необходимо следующий "
          "получили отправить результат совещание предложение приложение подтверждение "
          "возможность университет представитель сотрудничество");

// Of a newsletter: a piece of markup before and behind a text.
struct Frame {
    std::string_view before, after;
    unsigned words; // about so many between them
};
inline const std::vector<Frame> html_frames = {
    {"<p style=\"margin:0 0 16px 0;font-family:Arial,Helvetica,sans-serif;font-size:15px;"
     "line-height:22px;color:#333333;\">",
     "</p>", 40},
    {"<tr>\r\n  <td align=\"left\" valign=\"top\" width=\"280\" style=\"padding:10px 20px;\">\r\n  "
     "  ",
     "\r\n  </td>\r\n</tr>", 20},
    {"<a "
     "href=\"https://news.example.com/click?c=%N&amp;u=%N&amp;utm_source=newsletter&amp;utm_medium="
     "email\" target=\"_blank\" style=\"color:#0066cc;text-decoration:none;\">",
     "</a>", 4},
    {"<img src=\"https://img.example.com/m/%N/header_%N.png\" width=\"600\" height=\"200\" alt=\"",
     "\" border=\"0\" style=\"display:block;\">", 5},
    {"<h2 style=\"font-size:20px;font-weight:bold;color:#111111;\">", "</h2>", 6},
    {"<li><strong>", "</strong>&nbsp;&ndash; only &euro;%N.99</li>", 5},
    {"<table role=\"presentation\" border=\"0\" cellpadding=\"0\" cellspacing=\"0\" "
     "width=\"100%\">\r\n"
     "<tbody>\r\n<tr>\r\n<td class=\"content-%N\">",
     "</td>\r\n</tr>\r\n</tbody>\r\n</table>", 15},
    {"<div class=\"footer\"><span style=\"font-size:11px;\">", "<br>\r\n&copy; 2026</span></div>",
     12}};

} // namespace bench
