// SPDX-License-Identifier: Apache-2.0
// expect: success
// What the other cases do wrong, done right.
#include <mobula/mobula.hpp>

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

struct Person {
    std::string name;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(name);
    }
};
struct Trainer {
    explicit Trainer(std::string name);
    int step(int n);
    int look() const& noexcept;
    int change(int n) &;
};
/// Plain, with arrays, structs and a class without a default constructor inside.
struct Id {
    explicit Id(int number);
    int number;
};
struct Cell {
    double place[3];
    Id id;
    std::optional<int> colour;
};
struct Block {
    char name[4096];
    Cell cells[2];
    union {
        int i;
        float f;
    };
};
/// A pointer that every rank has alike.
struct Token {
    int number;
    void* place;
};
template <>
inline constexpr bool mobula::vouched<Token> = true;
struct Ticket {
    Token token;
    int price;
};
/// Says itself how it travels.
struct Linked {
    int number;
    const char* name;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(number);
    }
};
int paint(const Block& block, Ticket ticket, Linked linked);
double add(double a, double b);
int add(int a, int b);
int age(const Person& person);
int length(std::string text);
int count(const std::vector<int>& numbers);
int sum(std::span<const int> numbers);
std::vector<Person> greet(std::vector<Person> people, std::shared_ptr<int> times);

void submit(const mobula::Ref<int>& ref) {
    mobula::remote<mobula::overload<int(int, int)>(add)>(1, ref);
    mobula::remote<mobula::overload<double(double, double)>(add)>({.cpus = 2}, 1, 2);
    mobula::remote<age>({}, Person{"Ada"});
    const mobula::Ref<Block> block;
    mobula::remote<paint>(block, Ticket{}, Linked{});
    mobula::remote<age>(Person{"Ada"});
    mobula::remote<length>("text");
    mobula::remote<count>(std::vector<int>{1, 2});
    const std::vector<mobula::Ref<int>> refs;
    mobula::remote<count>(refs);
    mobula::remote<sum>(refs);
    mobula::remote<sum>(std::vector<int>{1, 2});
    mobula::remote([](int n, int here) { return n + here; }, 1, 2);
    mobula::remote<greet>(std::vector<Person>{{"Ada"}}, std::make_shared<int>(1));
    mobula::Promise<int> promise;
    mobula::Promise<void> event;
    mobula::remote<sum>(std::vector{promise.ref()});
    promise.set_value(1);
    event.set_value();
    event.set_exception(std::runtime_error("no"));
    mobula::put(Person{"Ada"});
    mobula::put(std::map<int, std::optional<Person>>());
    mobula::spawn<Trainer>({}, "name");
    const mobula::Actor<Trainer> trainer = mobula::spawn<Trainer>({.gpus = 1}, "name");
    trainer.call<&Trainer::step>(ref);
    trainer.call<&Trainer::look>();
    trainer.call<&Trainer::change>(1);
}
