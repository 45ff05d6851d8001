// SPDX-License-Identifier: Apache-2.0
// expect: success
// What the other cases do wrong, done right.
#include <mobula/mobula.hpp>

#include <map>
#include <memory>
#include <optional>
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
int add(int a, int b);
int age(const Person& person);
int length(std::string text);
int count(const std::vector<int>& numbers);
std::vector<Person> greet(std::vector<Person> people, std::shared_ptr<int> times);

void submit(const mobula::Ref<int>& ref) {
    mobula::remote<add>(1, ref);
    mobula::remote<add>({.cpus = 2}, 1, 2);
    mobula::remote<age>(Person{"Ada"});
    mobula::remote<length>("text");
    mobula::remote<count>(std::vector<int>{1, 2});
    mobula::remote([](int n, int here) { return n + here; }, 1, 2);
    mobula::remote<greet>(std::vector<Person>{{"Ada"}}, std::make_shared<int>(1));
    mobula::put(Person{"Ada"});
    mobula::put(std::map<int, std::optional<Person>>());
    const mobula::Actor<Trainer> trainer = mobula::spawn<Trainer>({.gpus = 1}, "name");
    trainer.call<&Trainer::step>(ref);
    trainer.call<&Trainer::look>();
    trainer.call<&Trainer::change>(1);
}
