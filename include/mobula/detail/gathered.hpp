// SPDX-License-Identifier: Apache-2.0
#pragma once

/// A parameter that is a vector, or a span of constant elements: besides a value or a Ref to it, it
/// can be given many Refs to its elements, and the task then waits for all of them.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <mobula/detail/signature.hpp>

namespace mobula::detail {

template <class P>
class Parameter;

/// The value of an input, for a parameter by const reference.
template <class D>
[[nodiscard]] const D& seen_input(const Input& input) {
    const auto* value = static_cast<const D*>(input_value(input, type_info<D>));
    if constexpr (!copyable<D>) refuse_moved_out(*input.cell);
    return *value;
}

/// The same, for one of the task's own: moved where nobody else can see the difference.
template <class D>
[[nodiscard]] D taken_input(const Input& input, [[maybe_unused]] bool keep) {
    D* const value = static_cast<D*>(input_value(input, type_info<D>));
    if constexpr (copyable<D>) {
        const bool movable = !keep && sole_reference(*input.cell);
        return movable ? D(std::move(*value)) : D(*value);
    } else {
        note_moved_out(*input.cell);
        return D(std::move(*value));
    }
}

/// The same of an argument that may have been given as a value.
template <class D>
[[nodiscard]] D taken_argument(const Input& input, D& value, bool keep) {
    if (input.cell != nullptr) return taken_input<D>(input, keep);
    if constexpr (copyable<D>) {
        if (keep) return D(value);
    }
    return D(std::move(value));
}

/// What an argument's head says of it in a record.
enum class ArgumentForm : std::uint8_t { value, object, objects };

/// The objects that make up one argument, in its order.
template <class D>
class Gathered {
public:
    using T = typename D::value_type;

    /// Throws BadInput for a Ref that names nothing.
    explicit Gathered(std::span<const Ref<T>> refs) : inputs_(refs.size()) {
        bind_inputs(inputs_, cells_in(refs));
    }
    explicit Gathered(Reader& reader) : inputs_(count_of(reader)) {
        std::vector<Cell*> cells(inputs_.size());
        for (Cell*& cell : cells) cell = reader.reference().get();
        bind_inputs(inputs_, cells);
    }
    Gathered(const Gathered&) = delete;
    Gathered& operator=(const Gathered&) = delete;
    ~Gathered() {
        for (Input& input : inputs_) unbind_input(input);
    }

    void encode(Writer& writer) const {
        writer.raw(static_cast<std::uint32_t>(inputs_.size()));
        for (const Input& input : inputs_) writer.reference(CellPtr::share(*input.cell));
    }
    void visit(InputVisitor visitor, void* context) {
        for (Input& input : inputs_) visitor(input, context);
    }

    /// For a parameter by const reference: stays for another attempt.
    [[nodiscard]] const D& seen(bool keep) {
        if (!values_) values_.emplace(taken(keep));
        return *values_;
    }
    [[nodiscard]] D taken(bool keep) const {
        // All are here before the first is moved: a value that cannot be decoded throws.
        for (const Input& input : inputs_) static_cast<void>(input_value(input, type_info<T>));
        D values;
        values.reserve(inputs_.size());
        for (const Input& input : inputs_) values.push_back(taken_input<T>(input, keep));
        return values;
    }
    [[nodiscard]] bool has_values() const noexcept { return values_.has_value(); }

private:
    static std::size_t count_of(Reader& reader) {
        const auto count = reader.raw<std::uint32_t>();
        if (count > reader.left() / sizeof(std::uint32_t)) {
            throw Error("an encoded argument announces more objects than it has bytes");
        }
        return count;
    }

    std::vector<Input> inputs_;
    std::optional<D> values_;
};

/// One argument in its task: as the other Parameter, or many objects.
template <class P>
    requires is_vector<Held<P>>
class Parameter<P> {
public:
    using D = Held<P>;
    using T = typename D::value_type;

    template <class A>
    explicit Parameter(A&& argument) {
        if constexpr (std::same_as<std::remove_cvref_t<A>, Ref<D>>) {
            bind_input(input_, CellPtr(argument.cell()));
        } else if constexpr (GivesElements<P, A>) {
            gather(argument);
        } else if constexpr (Makes<D, A>) {
            new (&value_) D(std::forward<A>(argument));
        } else {
            const std::span<const T> elements = argument;
            new (&value_) D(elements.begin(), elements.end());
        }
    }
    /// From a stream: a value is left out until fill().
    explicit Parameter(Reader& reader) {
        switch (reader.raw<ArgumentForm>()) {
            case ArgumentForm::value: input_.needs_value = true; break;
            case ArgumentForm::object: bind_input(input_, CellPtr(reader.reference())); break;
            case ArgumentForm::objects: hold(std::make_unique<Gathered<D>>(reader)); break;
            default: throw Error("an encoded argument has no known form");
        }
    }
    Parameter(const Parameter&) = delete;
    Parameter& operator=(const Parameter&) = delete;
    ~Parameter() {
        switch (form()) {
            case ArgumentForm::object: unbind_input(input_); break;
            case ArgumentForm::objects: many_.~unique_ptr(); break;
            case ArgumentForm::value:
                if (!input_.needs_value) value_.~D();
        }
    }

    [[nodiscard]] const D* known_value() const noexcept { return nullptr; }
    void encode_head(Writer& writer, const D* = nullptr) const {
        writer.raw(form());
        if (input_.cell != nullptr) writer.reference(CellPtr::share(*input_.cell));
        if (input_.many) many_->encode(writer);
    }
    void encode_value(Writer& writer, const D* = nullptr) const {
        if (form() == ArgumentForm::value) detail::encode(writer, value_);
    }
    [[nodiscard]] bool left_out() const noexcept {
        return form() == ArgumentForm::value && input_.needs_value;
    }
    void fill(Reader& reader) {
        if (!left_out()) return;
        detail::decode<D>(reader, &value_);
        input_.needs_value = false;
    }
    [[nodiscard]] std::size_t weight() const noexcept {
        return form() != ArgumentForm::value || input_.needs_value ? 0 : weight_of(value_);
    }
    [[nodiscard]] bool loud() const noexcept {
        if (is_quiet<D>) return false;
        if (input_.many) return many_->has_values();
        return input_.cell == nullptr && !input_.needs_value;
    }
    void visit(InputVisitor visitor, void* context) {
        if (input_.cell != nullptr) visitor(input_, context);
        if (input_.many) many_->visit(visitor, context);
    }

    decltype(auto) take(bool keep) {
        if constexpr (std::is_lvalue_reference_v<P>) {
            return seen(keep);
        } else if constexpr (is_shown<P>) {
            return P(seen(keep));
        } else {
            return taken(keep);
        }
    }

private:
    [[nodiscard]] ArgumentForm form() const noexcept {
        if (input_.cell != nullptr) return ArgumentForm::object;
        return input_.many ? ArgumentForm::objects : ArgumentForm::value;
    }
    void gather(std::span<const Ref<T>> refs) {
        if (refs.empty()) {
            new (&value_) D();
        } else {
            hold(std::make_unique<Gathered<D>>(refs));
        }
    }
    void hold(std::unique_ptr<Gathered<D>> many) noexcept {
        new (&many_) std::unique_ptr<Gathered<D>>(std::move(many));
        input_.many = true;
    }
    const D& seen(bool keep) {
        if (input_.many) return many_->seen(keep);
        return input_.cell == nullptr ? value_ : seen_input<D>(input_);
    }
    D taken(bool keep) {
        return input_.many ? many_->taken(keep) : taken_argument<D>(input_, value_, keep);
    }

    Input input_;
    union {
        D value_;                            // NOLINT(readability-identifier-naming): private
        std::unique_ptr<Gathered<D>> many_;  // NOLINT(readability-identifier-naming): private
    };
};

}  // namespace mobula::detail
