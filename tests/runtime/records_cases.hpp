// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>

#include "runtime/records_stage.hpp"

namespace mobula::runtime::testing {

/// One record that is right, made on a stage that is ready for it.
struct Case {
    wire::Kind kind;
    std::function<Record(Stage&)> make;
    /// The rank that sends such records.
    Rank from = LoneEngine::peer;
};

/// One of each kind at least, by a name that tells what is special about it.
[[nodiscard]] std::multimap<std::string, Case> all_cases();

}  // namespace mobula::runtime::testing
