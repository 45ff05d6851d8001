// SPDX-License-Identifier: Apache-2.0
/// Goal: functions have names that people read, and places and a digest that all ranks of one build
/// agree on. Method: names of real calls, as this compiler mangles them; tables of entries in every
/// order of registration. The engine's other functions are not linked: nothing here submits.
#include "runtime/functions.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <mobula/mobula.hpp>

double simulate(int seed, const std::string& name);
double simulate(int seed, const std::string& name) { return seed + double(name.size()); }

namespace lab::deep {

int work() { return 1; }
template <class T>
T twice(T value) {
    return value;
}
struct Trainer {
    struct Inner {
        int score() { return 1; }
    };
    Trainer(int, const std::string&) {}
    int step(double) const { return 1; }
    void rest() noexcept {}
    template <class T>
    int as(T) {
        return 1;
    }
    int operator()(int) { return 1; }
    bool operator<(int) { return true; }
    static int made(int) { return 1; }
};
template <class T>
struct Box {
    int put(T) { return 1; }
};

}  // namespace lab::deep

namespace {

int hidden(std::vector<int> values) { return int(values.size()); }
struct Hidden {
    explicit Hidden(int) {}
    int go(int) { return 1; }
};

using mobula::detail::ConstructorCall;
using mobula::detail::FreeCall;
using mobula::detail::LambdaCall;
using mobula::detail::MethodCall;
using mobula::detail::readable_name;

template <class Call>
std::string name_of() {
    return readable_name(typeid(Call).name());
}
template <class Lambda>
std::string name_of_lambda(Lambda) {
    return name_of<LambdaCall<Lambda>>();
}

using lab::deep::Box;
using lab::deep::Trainer;

TEST(ReadableName, OfFunctions) {
    EXPECT_EQ(name_of<FreeCall<simulate>>(), "simulate");
    EXPECT_EQ(name_of<FreeCall<&simulate>>(), "simulate");
    EXPECT_EQ(name_of<FreeCall<hidden>>(), "hidden");
    EXPECT_EQ(name_of<FreeCall<lab::deep::work>>(), "deep::work");
    EXPECT_EQ(name_of<FreeCall<&Trainer::made>>(), "Trainer::made");
    EXPECT_EQ(name_of<FreeCall<&lab::deep::twice<int>>>(), "deep::twice<int>");
    EXPECT_EQ(name_of<FreeCall<&lab::deep::twice<std::vector<int>>>>(), "deep::twice<...>");
}

TEST(ReadableName, OfMethodsAndConstructors) {
    EXPECT_EQ(name_of<MethodCall<&Trainer::step>>(), "Trainer::step");
    EXPECT_EQ(name_of<MethodCall<&Trainer::rest>>(), "Trainer::rest");
    EXPECT_EQ(name_of<MethodCall<&Trainer::as<int>>>(), "Trainer::as<int>");
    EXPECT_EQ(name_of<MethodCall<&Trainer::operator()>>(), "Trainer::operator()");
    EXPECT_EQ(name_of < MethodCall < &Trainer::operator<> >(), "Trainer::operator<");
    EXPECT_EQ(name_of<MethodCall<&Trainer::Inner::score>>(), "Inner::score");
    EXPECT_EQ(name_of<MethodCall<&Hidden::go>>(), "Hidden::go");
    EXPECT_EQ((name_of<MethodCall<&Box<std::map<int, int>>::put>>()), "Box<...>::put");
    EXPECT_EQ((name_of<ConstructorCall<Trainer, int, std::string>>()), "Trainer::Trainer");
    EXPECT_EQ((name_of<ConstructorCall<Hidden, int>>()), "Hidden::Hidden");
}

std::string driver(int) {
    return name_of_lambda([](int i) { return i; });
}
std::string second_lambda(int) {
    const auto first = [](std::string text) { return text; };
    const auto second = [](int i, std::string) { return i; };
    return name_of_lambda(first) + ", " + name_of_lambda(second);
}
std::string nested(int) {
    return [](int) { return name_of_lambda([](int i) { return i; }); }(1);
}
std::string local() {
    struct Local {
        int f(int) { return 1; }
    };
    return name_of<MethodCall<&Local::f>>();
}

TEST(ReadableName, OfLambdasAndLocalClasses) {
    EXPECT_EQ(driver(1), "lambda in driver");
#if defined(__clang__)
    EXPECT_EQ(second_lambda(1), "lambda in second_lambda, lambda in second_lambda");
#else
    EXPECT_EQ(second_lambda(1), "lambda in second_lambda, lambda 2 in second_lambda");
#endif
    EXPECT_EQ(nested(1), "lambda in lambda in nested");
    EXPECT_EQ(local(), "Local::f");
}

TEST(ReadableName, OfWhatItDoesNotUnderstandIsTheTextItself) {
    EXPECT_EQ(readable_name("no mangled name"), "no mangled name");
    EXPECT_EQ(readable_name("i"), "int");
    const std::string sound =
        typeid(FreeCall<&lab::deep::twice<std::map<std::string, int>>>).name();
    for (std::size_t size = 0; size < sound.size(); ++size) {
        static_cast<void>(readable_name(sound.substr(0, size).c_str()));
    }
}

// ---- the table ----

using mobula::detail::FunctionInfo;
using mobula::runtime::FunctionTable;

const FunctionInfo infos[4] = {{nullptr, 8}, {nullptr, 16}, {nullptr, 24}, {nullptr, 32}};

TEST(FunctionTable, IsTheSameInEveryOrderOfRegistration) {
    std::vector<FunctionTable::Entry> entries{{&infos[0], "c"}, {&infos[1], "a"}, {&infos[2], "b"}};
    const std::uint64_t digest = FunctionTable(entries).digest();
    const auto less = [](const FunctionTable::Entry& a, const FunctionTable::Entry& b) {
        return a.info < b.info;
    };
    do {
        const FunctionTable table(entries);
        EXPECT_EQ(table.digest(), digest);
        EXPECT_EQ(table.index_of(infos[1]), 0U);
        EXPECT_EQ(table.index_of(infos[2]), 1U);
        EXPECT_EQ(table.index_of(infos[0]), 2U);
        EXPECT_EQ(table.at(2), &infos[0]);
        EXPECT_EQ(table.at(3), nullptr);
    } while (std::next_permutation(entries.begin(), entries.end(), less));
}

TEST(FunctionTable, KeepsTheOrderOfEqualNames) {
    const FunctionTable table({{&infos[3], "b"}, {&infos[0], "b"}, {&infos[1], "a"}});
    EXPECT_EQ(table.index_of(infos[3]), 1U);
    EXPECT_EQ(table.index_of(infos[0]), 2U);
}

TEST(FunctionTable, DigestTellsBuildsApart) {
    const auto digest = [](std::vector<FunctionTable::Entry> entries) {
        return FunctionTable(std::move(entries)).digest();
    };
    EXPECT_EQ(digest({{&infos[0], "a"}}), digest({{&infos[0], "a"}}));
    EXPECT_NE(digest({{&infos[0], "a"}}), digest({{&infos[1], "a"}}));
    EXPECT_NE(digest({{&infos[0], "a"}}), digest({{&infos[0], "b"}}));
    EXPECT_NE(digest({{&infos[0], "a"}}), digest({}));
    EXPECT_NE(digest({{&infos[0], "ab"}, {&infos[0], "c"}}),
              digest({{&infos[0], "a"}, {&infos[0], "bc"}}));
}

TEST(FunctionTable, HasWhatWasRegisteredBeforeMain) {
    EXPECT_EQ(FunctionTable::of_process().at(1000000), nullptr);
}

}  // namespace
