// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The erased engine under Promise<T>.

#include <exception>

#include <mobula/detail/cell.hpp>
#include <mobula/detail/type_info.hpp>

namespace mobula::detail {

/// A pending object of this rank that no task makes, and a reference to it.
[[nodiscard]] CellPtr new_promised(const TypeInfo& type);
/// Room for the value of one that is pending; null where it was cancelled. From then on it cannot
/// be cancelled.
[[nodiscard]] void* promised_place(Cell& cell);
/// The value could not be constructed: back to where it was before.
void drop_promised_place(Cell& cell) noexcept;
/// The value is there.
void finish_promised(Cell& cell);
/// Has no effect on one that was cancelled.
void fail_promised(Cell& cell, const std::exception_ptr& exception);
/// Its Promise is gone without having completed it. Has no effect when the job ends.
void break_promised(Cell& cell) noexcept;

/// Throw BadInput: for a Promise that was moved from, for no exception, and for what was completed.
void check_promise(const Cell* cell);
void check_exception(const std::exception_ptr& exception);
[[noreturn]] void throw_completed();

}  // namespace mobula::detail
