// SPDX-License-Identifier: Apache-2.0
// expect: mobula: a type that travels through cereal needs a default constructor
#include <mobula/mobula.hpp>

#include <string>

struct Person {
    explicit Person(std::string given) : name(std::move(given)) {}
    std::string name;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(name);
    }
};
int age(const Person& person);
void submit() { mobula::remote<age>(Person("Ada")); }
