// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace mobula::graph {

/// The life of one running task as its children see it: they ask before they start and where they
/// wait whether it, or one of its parents, was cancelled. Made when a task submits its first
/// child. Counted; thread-safe.
class Scope {
public:
    explicit Scope(Scope* parent) noexcept : parent_(living(parent)) {
        if (parent_ != nullptr) parent_->retain();
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

    void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    static void release(Scope* scope) noexcept {
        while (scope != nullptr &&
               scope->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            Scope* const parent = scope->parent_;
            delete scope;
            scope = parent;
        }
    }

    /// Its task is over and will not be cancelled any more.
    void end() noexcept { over_.store(true, std::memory_order_release); }
    void cancel() noexcept { cancelled_.store(true, std::memory_order_release); }
    [[nodiscard]] bool cancelled() const noexcept {
        for (const Scope* scope = this; scope != nullptr; scope = scope->parent_) {
            if (scope->cancelled_.load(std::memory_order_acquire)) return true;
        }
        return false;
    }

private:
    ~Scope() = default;

    /// Without this a chain in which every task submits its successor would keep all its scopes.
    [[nodiscard]] static Scope* living(Scope* scope) noexcept {
        while (scope != nullptr && scope->over_.load(std::memory_order_acquire) &&
               !scope->cancelled_.load(std::memory_order_acquire)) {
            scope = scope->parent_;
        }
        return scope;
    }

    std::atomic<std::uint32_t> references_{1};
    std::atomic<bool> cancelled_{false};
    std::atomic<bool> over_{false};
    Scope* parent_;
};

}  // namespace mobula::graph
