// SPDX-License-Identifier: Apache-2.0
#include "wire/messages.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace mobula::wire {
namespace {

const Roster roster({Incarnation{7}, Incarnation{8}, Incarnation{9}});

/// Fills a message with values that differ from field to field; where fields depend on a choice,
/// with those of its alternative of that number.
class Filler {
public:
    explicit Filler(unsigned alternative) : alternative_(alternative) {}

    template <class T>
    Filler& operator()(std::string_view, T& field) {
        const unsigned n = ++count_;
        if constexpr (std::is_same_v<T, std::string_view>) {
            field = std::string_view("some text").substr(n % 4);
        } else if constexpr (std::is_same_v<T, Bytes>) {
            field = std::as_bytes(std::span("some bytes")).subspan(n % 4);
        } else if constexpr (is_list<T>) {
            field.resize(3);
            for (auto& one : field) (*this)({}, one);
        } else if constexpr (HasFields<T>) {
            T::fields(field, *this);
        } else if constexpr (std::is_same_v<T, ObjectId>) {
            field = {Rank{1}, Incarnation{8}, n};
        } else if constexpr (std::is_same_v<T, Rank>) {
            field = Rank{2};
        } else if constexpr (std::is_same_v<T, bool>) {
            field = n % 2 == 1;
        } else if constexpr (std::is_same_v<T, TaskKey>) {
            field = {n, n + 100};
        } else if constexpr (std::is_same_v<T, TaskHead>) {
            field = {n, n + 1, {n + 2, n + 3}};
        } else if constexpr (std::is_same_v<T, ResultHead>) {
            field = {{n, n + 1}, n + 2, static_cast<std::uint16_t>(n + 3), ResultForm::plain, 0};
        } else {
            field = static_cast<T>(n);
        }
        return *this;
    }
    template <class T>
    Filler& choice(std::string_view, T& field, T last) {
        return chosen(field, last);
    }
    template <class T>
    Filler& chosen(T& field, T last) {
        alternatives_ = static_cast<unsigned>(last) + 1;
        field = static_cast<T>(alternative_);
        return *this;
    }
    void tail(std::string_view) { open_ = true; }

    [[nodiscard]] unsigned alternatives() const { return alternatives_; }
    [[nodiscard]] bool open() const { return open_; }

private:
    unsigned alternative_, alternatives_ = 1, count_ = 0;
    bool open_ = false;
};

/// What format.md says of a message's fields.
class Describer {
public:
    explicit Describer(unsigned alternative) : alternative_(alternative) {}

    template <class T>
    Describer& operator()(std::string_view name, T& field) {
        if constexpr (HasFields<T>) {
            T::fields(field, *this);
        } else {
            add(std::string(name) + " " + type_name<T>());
        }
        return *this;
    }
    template <class T>
    Describer& choice(std::string_view name, T& field, T last) {
        return (*this)(name, field).chosen(field, last);
    }
    template <class T>
    Describer& chosen(T& field, T last) {
        field = static_cast<T>(alternative_);
        alternatives_ = static_cast<unsigned>(last) + 1;
        common_ = std::exchange(text_, {});
        return *this;
    }
    void tail(std::string_view what) { add(std::string(what)); }

    unsigned alternatives_ = 1;
    std::string common_, text_;

private:
    void add(const std::string& field) { text_ += (text_.empty() ? "" : ", ") + field; }

    template <class T>
    static std::string type_name() {
        if constexpr (std::is_same_v<T, std::string_view>) return "text";
        if constexpr (std::is_same_v<T, Bytes>) return "bytes";
        if constexpr (std::is_same_v<T, std::vector<TaskKey>>) return "keys";
        if constexpr (std::is_same_v<T, ObjectId>) return "id";
        if constexpr (std::is_same_v<T, Rank>) return "rank";
        if constexpr (std::is_same_v<T, TaskKey>) return "key";
        if constexpr (std::is_same_v<T, TaskHead>) return "of a task";
        if constexpr (std::is_same_v<T, ResultHead>) return "of a result";
        return (std::is_signed_v<T> ? "i" : "u") + std::to_string(sizeof(T) * 8);
    }

    unsigned alternative_;
};

template <class T>
std::string describe() {
    std::string all;
    unsigned alternatives = 1;
    for (unsigned i = 0; i < alternatives; ++i) {
        T message{};
        Describer describer(i);
        T::fields(message, describer);
        alternatives = describer.alternatives_;
        if (alternatives == 1) return describer.text_.empty() ? "-" : describer.text_;
        if (i == 0) all = describer.common_;
        all += (i == 0 ? "; " : " / ") + std::to_string(i) + ": ";
        all += describer.text_.empty() ? "-" : describer.text_;
    }
    return all;
}

template <class T>
class OfMessages : public testing::Test {};

template <class Tuple>
struct AsTypes;
template <class... All>
struct AsTypes<std::tuple<All...>> {
    using type = testing::Types<All...>;
};
TYPED_TEST_SUITE(OfMessages, AsTypes<Messages>::type);

/// Calls `look` with each alternative of the message, filled, and whether it has a tail.
template <class Message, class Look>
void for_alternatives(const Look& look) {
    unsigned alternatives = 1;
    for (unsigned i = 0; i < alternatives; ++i) {
        Message message{};
        Filler filler(i);
        Message::fields(message, filler);
        alternatives = filler.alternatives();
        look(message, filler.open());
    }
}

std::vector<std::byte> bytes_of(const RecordWriter& record) {
    return {record.span().begin(), record.span().end()};
}

TYPED_TEST(OfMessages, come_out_as_they_went_in) {
    for_alternatives<TypeParam>([](const TypeParam& message, bool) {
        const std::vector<std::byte> bytes = bytes_of(Written(message));
        RecordReader reader(bytes);
        ASSERT_EQ(reader.get<Kind>(), TypeParam::kind);
        const auto again = read<TypeParam>(reader, roster);
        EXPECT_TRUE(reader.rest().empty());
        EXPECT_EQ(bytes_of(Written(again)), bytes);
    });
}

TYPED_TEST(OfMessages, are_refused_when_cut_short) {
    for_alternatives<TypeParam>([](const TypeParam& message, bool) {
        const std::vector<std::byte> bytes = bytes_of(Written(message));
        for (std::size_t size = 1; size < bytes.size(); ++size) {
            RecordReader reader(Bytes(bytes).subspan(1, size - 1));
            EXPECT_THROW(static_cast<void>(read<TypeParam>(reader, roster)), Error) << size;
        }
    });
}

TYPED_TEST(OfMessages, are_refused_when_too_long_but_for_those_with_a_tail) {
    for_alternatives<TypeParam>([](const TypeParam& message, bool open) {
        std::vector<std::byte> bytes = bytes_of(Written(message));
        bytes.push_back(std::byte{1});
        RecordReader reader(Bytes(bytes).subspan(1));
        if (open) {
            static_cast<void>(read<TypeParam>(reader, roster));
            EXPECT_EQ(reader.rest().size(), 1U);
        } else {
            EXPECT_THROW(static_cast<void>(read<TypeParam>(reader, roster)), Error);
        }
    });
}

template <std::size_t... I>
void expect_each_kind(std::index_sequence<I...>) {
    const std::vector<std::size_t> kinds{
        static_cast<std::size_t>(std::tuple_element_t<I, Messages>::kind)...};
    EXPECT_EQ(kinds, (std::vector<std::size_t>{I...}));
}

TEST(Messages, are_one_for_each_kind) {
    constexpr std::size_t count = std::tuple_size_v<Messages>;
    EXPECT_EQ(count, static_cast<std::size_t>(Kind::broken) + 1);
    expect_each_kind(std::make_index_sequence<count>());
}

template <class Message>
bool accepts(const Message& message) {
    const std::vector<std::byte> bytes = bytes_of(Written(message));
    RecordReader reader(Bytes(bytes).subspan(1));
    try {
        static_cast<void>(read<Message>(reader, roster));
    } catch (const Error&) {
        return false;
    }
    return true;
}

TEST(Messages, name_only_ranks_that_exist) {
    const ObjectId object{Rank{2}, Incarnation{9}, 5};
    EXPECT_TRUE(accepts(Grant{object, Rank{2}}));
    EXPECT_FALSE(accepts(Grant{object, Rank{3}}));
    EXPECT_FALSE(accepts(Done{object, Done::Answer::located, {Rank{3}, {}}}));
    EXPECT_FALSE(accepts(EndActor{{Rank{3}, Incarnation{9}, 5}}));
    EXPECT_FALSE(accepts(EndActor{{Rank{2}, Incarnation{8}, 5}})) << "of an earlier start";
    EXPECT_TRUE(accepts(Find{{}, Rank{1}, 1, "no actor is named"}));
}

TEST(Messages, have_only_known_alternatives) {
    EXPECT_FALSE(accepts(Done{{}, static_cast<Done::Answer>(2)}));
    EXPECT_FALSE(accepts(Item{{}, static_cast<Item::Form>(2)}));
    EXPECT_FALSE(accepts(Result{{{}, 0, 0, static_cast<ResultForm>(4)}}));
}

/// The rows that format.md must have, in the order of the kinds.
template <std::size_t... I>
std::vector<std::string> rows(std::index_sequence<I...>) {
    return {describe<std::tuple_element_t<I, Messages>>()...};
}

TEST(Format, is_what_the_page_says) {
    const std::vector<std::string> fields =
        rows(std::make_index_sequence<std::tuple_size_v<Messages>>());
    std::ifstream file(MOBULA_FORMAT_PAGE);
    ASSERT_TRUE(file);
    const std::string page{std::istreambuf_iterator<char>(file), {}};
    for (std::size_t kind = 0; kind < fields.size(); ++kind) {
        const std::string row = " | " + fields[kind] + " |\n";
        const std::size_t at = page.find("\n| " + std::to_string(kind) + " ");
        ASSERT_NE(at, std::string::npos) << "no row for kind " << kind << ":" << row;
        const std::string line = page.substr(at + 1, page.find('\n', at + 1) - at);
        EXPECT_NE(line.find(row), std::string::npos)
            << "the page says\n"
            << line << "and the message of kind " << kind << " is" << row;
    }
    EXPECT_NE(page.find("*reference*: " + describe<Reference>()), std::string::npos)
        << describe<Reference>();
}

}  // namespace
}  // namespace mobula::wire
