// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "graph/task.hpp"
#include "wire/record.hpp"

/// What the writer and the reader of records about tasks share; wire/format.md has the fields.
namespace mobula::runtime {

/// In front of a task: what follows it. A plain enum, because they are added up.
enum TaskFlags : std::uint8_t { has_options = 1, plain_arguments = 2 };

/// How a result comes back.
enum class ResultForm : std::uint8_t {
    plain,    ///< the bytes of its type
    encoded,  ///< as arguments are
    located,  ///< it stays where it was made
    failed,   ///< all results of the task have
};

/// The options with which a task or an actor was made, as far as the rank that runs it needs them.
void write_extra(const graph::TaskExtra& extra, wire::RecordWriter& record);
/// Throws Error on what no write_extra() has written.
[[nodiscard]] std::unique_ptr<graph::TaskExtra> read_extra(wire::RecordReader& reader);

}  // namespace mobula::runtime
