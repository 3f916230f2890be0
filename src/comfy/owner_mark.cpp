// SPDX-License-Identifier: MIT
#include "comfy/owner_mark.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "base/hash.hpp"
#include "comfy/prompt_graph.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr std::string_view kMark = "atelier-owner-", kOwnName = "atelier_owner";
constexpr std::size_t kDigits = 16;
constexpr std::size_t kNameBytesMax = 256;  // of a member that holds a mark

bool is_handed_prompt(const InputSpec& spec) {
  return spec.group == InputGroup::hidden &&
         (spec.type == "PROMPT" || spec.type == "DYNPROMPT" || spec.type == "EXTRA_PNGINFO");
}

/// The name under which a mark reaches the cache and not the node; "" where there is nothing to be marked.
std::string_view mark_name(const NodeClass& node_class) {
  std::string_view name;
  for (const InputSpec& spec : node_class.inputs) {
    if (!is_handed_prompt(spec)) continue;
    if (node_class.v3) return kOwnName;       // ComfyUI does not look for hidden values among the inputs here
    if (!spec.config->is_string()) continue;  // ["PROMPT"]: a V1 node gets nothing for it
    if (std::ranges::none_of(node_class.visible_inputs,
                             [&](const InputSpec* visible) { return visible->name == spec.name; }))
      return spec.name;
    name = kOwnName;
  }
  return name;
}

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
bool is_escaped_blank(char c) { return c == 'n' || c == 't' || c == 'r'; }

/// A piece of a text.
struct Piece {
  std::size_t from, until;
};

/// Goes over blanks, also over those that are escaped as in JSON inside of JSON.
class Blanks {
 public:
  explicit Blanks(std::string_view text) : text_(text) {}

  [[nodiscard]] std::size_t before(std::size_t at) const {
    for (;;) {
      if (at > 0 && is_blank(text_[at - 1])) {
        --at;
      } else if (at > 1 && is_escaped_blank(text_[at - 1]) && text_[at - 2] == '\\') {
        for (--at; at > 0 && text_[at - 1] == '\\';) --at;
      } else {
        return at;
      }
    }
  }

  [[nodiscard]] std::size_t behind(std::size_t at) const {
    for (;;) {
      const std::size_t escaped = std::min(text_.find_first_not_of('\\', at), text_.size());
      if (at < text_.size() && is_blank(text_[at])) {
        ++at;
      } else if (escaped > at && escaped < text_.size() && is_escaped_blank(text_[escaped])) {
        at = escaped + 1;
      } else {
        return at;
      }
    }
  }

 private:
  std::string_view text_;
};

/// The member whose whole value `mark` is, with the comma that parts it from its neighbour; else the mark.
Piece member_of(std::string_view text, Piece mark) {
  const std::size_t quote = mark.from - 1;
  if (mark.from == 0 || (text[quote] != '"' && text[quote] != '\'')) return mark;
  std::size_t value = quote;
  while (value > 0 && text[value - 1] == '\\') --value;
  const std::string_view quotes = text.substr(value, mark.from - value);
  if (!text.substr(mark.until).starts_with(quotes)) return mark;
  const Blanks blanks(text);
  const std::size_t colon = blanks.before(value);
  if (colon == 0 || text[colon - 1] != ':') return mark;
  const std::size_t name_end = blanks.before(colon - 1);
  if (!text.substr(0, name_end).ends_with(quotes) || name_end == quotes.size()) return mark;
  const std::size_t last = name_end - quotes.size() - 1;
  const std::size_t name_quote = text.rfind(quotes.back(), last);
  if (name_quote == std::string_view::npos || last - name_quote > kNameBytesMax) return mark;
  if (!text.substr(0, name_quote + 1).ends_with(quotes)) return mark;
  Piece member{name_quote + 1 - quotes.size(), mark.until + quotes.size()};
  const std::size_t next = blanks.behind(member.until), before = blanks.before(member.from);
  if (before > 0 && text[before - 1] == ',') {
    member.from = before - 1;
  } else if (next < text.size() && text[next] == ',') {  // it is the first one
    member.until = blanks.behind(next + 1);
  }
  return member;
}

}  // namespace

void mark_owner(json::object& prompt, const ObjectInfo& info, std::string_view owner) {
  const std::string mark = std::string(kMark) + sha256(owner).hex().substr(0, kDigits);
  const PromptGraph graph(prompt, info);
  for (const PromptNode& node : graph.nodes()) {
    if (node.node_class == nullptr || node.inputs == nullptr) continue;
    if (const std::string_view name = mark_name(*node.node_class); !name.empty())
      (*node.inputs)[name] = json::string_view(mark);
  }
}

std::string without_owner_marks(std::string text) {
  const std::string_view all = text;
  std::string out;
  std::size_t done = 0;
  for (std::size_t at = all.find(kMark); at != std::string_view::npos; at = all.find(kMark, at + 1)) {
    const std::size_t until = at + kMark.size() + kDigits;
    const std::string_view digits = all.substr(at + kMark.size(), kDigits);
    if (digits.size() < kDigits || digits.find_first_not_of("0123456789abcdef") != std::string_view::npos)
      continue;
    const Piece piece = member_of(all, {at, until});
    const std::size_t from = std::max(piece.from, done);
    out.append(all, done, from - done);
    done = piece.until;
  }
  if (done == 0) return text;
  return out.append(all, done);
}

}  // namespace atelier::comfy
