// SPDX-License-Identifier: MIT
#include "comfy/ability.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/string.hpp>

namespace atelier::comfy {

EngineAbility ability_of(const ObjectInfo& info) {
  EngineAbility ability;
  ability.classes = info.class_names();
  for (const std::string& name : ability.classes) {
    for (const InputSpec& input : info.find(name)->inputs) {
      if (input.choices == nullptr || !is_model_combo(input)) continue;
      for (const boost::json::value& choice : *input.choices) {
        if (const auto* text = choice.if_string()) ability.models.emplace_back(text->data(), text->size());
      }
    }
  }
  std::ranges::sort(ability.models);
  const auto twice = std::ranges::unique(ability.models);
  ability.models.erase(twice.begin(), twice.end());
  return ability;
}

}  // namespace atelier::comfy
