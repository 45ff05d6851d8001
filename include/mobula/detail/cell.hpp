// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace mobula::detail {

/// The public head of an object as this rank sees it; the rest is in src/graph/cell.hpp.
struct Cell {
    std::atomic<std::uint32_t> references{1};

protected:
    Cell() = default;
    ~Cell() = default;
};

/// Called when the last reference of this rank went.
void dispose_cell(Cell* cell) noexcept;

/// A counted pointer to a cell; as cheap as an intrusive pointer can be.
class CellPtr {
public:
    CellPtr() = default;
    /// Takes over one reference that the caller holds.
    explicit CellPtr(Cell* cell) noexcept : cell_(cell) {}
    /// Adds a reference.
    static CellPtr share(Cell& cell) noexcept {
        cell.references.fetch_add(1, std::memory_order_relaxed);
        return CellPtr(&cell);
    }
    CellPtr(const CellPtr& other) noexcept : cell_(other.cell_) {
        if (cell_ != nullptr) cell_->references.fetch_add(1, std::memory_order_relaxed);
    }
    CellPtr(CellPtr&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}
    CellPtr& operator=(CellPtr other) noexcept {
        std::swap(cell_, other.cell_);
        return *this;
    }
    ~CellPtr() {
        if (cell_ != nullptr && cell_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            dispose_cell(cell_);
        }
    }

    [[nodiscard]] Cell* get() const noexcept { return cell_; }
    [[nodiscard]] Cell& operator*() const noexcept { return *cell_; }
    /// Gives the reference away.
    [[nodiscard]] Cell* release() noexcept { return std::exchange(cell_, nullptr); }
    explicit operator bool() const noexcept { return cell_ != nullptr; }

private:
    Cell* cell_ = nullptr;
};

}  // namespace mobula::detail
