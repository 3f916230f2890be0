// SPDX-License-Identifier: MIT
#include "agent/own_names.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "agent/prepare.hpp"
#include "comfy/owner_mark.hpp"
#include "comfy/rewrite.hpp"

namespace atelier::agent {
namespace {

constexpr std::size_t kMarkDigits = 16;  // of worker_input_name()

bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}

}  // namespace

OwnNames::OwnNames(const link::Lease& lease) : folder_(comfy::job_folder(lease.job, lease.epoch)) {
  for (const auto& [own, worker] : places_of(lease.inputs).names) {
    const std::size_t slash = worker.rfind('/', worker.size() - 2);  // a folder's ends with one
    const std::size_t base = slash == std::string::npos ? 0 : slash + 1;
    marks_.insert(worker.substr(base, kMarkDigits));
  }
}

bool OwnNames::names_input(std::string_view text) const {
  if (marks_.empty()) return false;
  for (std::size_t dash = text.find('-'); dash != std::string_view::npos; dash = text.find('-', dash + 1)) {
    if (dash >= kMarkDigits && marks_.contains(text.substr(dash - kMarkDigits, kMarkDigits))) return true;
  }
  return false;
}

std::string OwnNames::restore(std::string text) const {
  if (folder_.empty()) return text;
  std::string out;
  std::size_t done = 0;
  const auto leave_out = [&](std::size_t from, std::size_t until) {
    out.append(text, done, from - done);
    done = until;
  };
  const char first = folder_.front();
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '-' && at >= done + kMarkDigits &&
        marks_.contains(std::string_view(text).substr(at - kMarkDigits, kMarkDigits))) {
      leave_out(at - kMarkDigits, at + 1);
    } else if (text[at] == first && text.compare(at, folder_.size(), folder_) == 0 &&
               (at == 0 || !is_word(text[at - 1]))) {
      const std::size_t end = at + folder_.size();
      if (end < text.size() && is_word(text[end])) continue;  // of another run
      leave_out(at, end < text.size() && text[end] == '/' ? end + 1 : end);
      at = done - 1;
    }
  }
  if (done == 0) return comfy::without_owner_marks(std::move(text));
  out.append(text, done);
  return comfy::without_owner_marks(std::move(out));
}

}  // namespace atelier::agent
