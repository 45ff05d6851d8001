// SPDX-License-Identifier: Apache-2.0
#include "runtime/names.hpp"

#include <utility>

#include <mobula/error.hpp>

namespace mobula::runtime {

namespace {

constexpr Rank registry{};  // rank 0

std::string taken(const std::string& name) {
    return "an actor with the name '" + name + "' lives already";
}

}  // namespace

bool Names::enter(const std::string& name, const ObjectId& id) {
    std::lock_guard guard(mutex_);
    if (own_names_.contains(name) ||
        (network_.self() == registry && !names_.emplace(name, id).second)) {
        throw BadInput(taken(name));
    }
    own_names_.insert(own_.emplace(id, name).first->second);
    return network_.self() == registry;
}

void Names::ask(const std::string& name, const ObjectId& id) { send(registry, true, id, name); }

void Names::leave(const ObjectId& id) {
    std::lock_guard guard(mutex_);
    const auto found = own_.find(id);
    if (found == own_.end()) return;
    if (network_.self() == registry) {
        free_name(found->second, id);
    } else {
        send(registry, false, id, found->second);
    }
    forget(found);
}

/// The lock is held.
void Names::forget(std::unordered_map<ObjectId, std::string>::iterator own) {
    own_names_.erase(own->second);  // first: it refers to the text
    own_.erase(own);
}

void Names::died(const ObjectId& id) {
    if (id.owner == network_.self()) return leave(id);
    send(id.owner, false, id, {});
}

void Names::send(Rank to, bool enters, const ObjectId& id, const std::string& name) {
    network_.send(to, wire::Name{enters, id, name});
}

/// The lock is held.
void Names::free_name(const std::string& name, const ObjectId& id) {
    const auto entry = names_.find(name);
    if (entry != names_.end() && entry->second == id) names_.erase(entry);
}

void Names::on_name(Rank from, const wire::Name& message) {
    const ObjectId& id = message.actor;
    if (!message.enters && id.owner == network_.self()) return leave(id);
    const std::string name(message.name);
    std::lock_guard guard(mutex_);
    if (!message.enters) return free_name(name, id);
    const bool given = names_.emplace(name, id).second;
    network_.send(from, wire::Named{given, id, name});
}

/// An actor that has died since it asked has left the name already, in order with the question.
std::string Names::on_named(const wire::Named& message) {
    if (message.given) return {};
    std::lock_guard guard(mutex_);
    const auto found = own_.find(message.actor);
    if (found != own_.end()) forget(found);
    return taken(std::string(message.name));
}

CellPtr Names::find(std::string_view name) {
    Waits::refuse_to_encoder();
    Gathering gathering(team_, 1);
    std::uint64_t number = 0;
    {
        std::lock_guard guard(mutex_);
        number = next_question_++;
        questions_[number].gathering = &gathering;
    }
    if (network_.self() == registry) {
        ObjectId id{};
        {
            std::lock_guard guard(mutex_);
            const auto entry = names_.find(name);
            if (entry != names_.end()) id = entry->second;
        }
        ask_owner(id, network_.self(), number);
    } else {
        network_.send(registry, wire::Find{{}, network_.self(), number, name});
    }
    waits_.sleep(gathering, {}, std::nullopt);
    CellPtr answer;
    {
        std::lock_guard guard(mutex_);
        answer = std::move(questions_[number].answer);
        questions_.erase(number);
    }
    if (!gathering.arrived()) waits_.check_cancelled();
    return answer;
}

/// An id of serial 0 stands for "nobody has the name".
void Names::ask_owner(const ObjectId& id, Rank asker, std::uint64_t question) {
    if (id.serial == 0) return answer(asker, question, {});
    if (id.owner == network_.self()) return answer(asker, question, exchange_.find_owned(id));
    network_.send(id.owner, wire::Find{id, asker, question, {}});
}

void Names::on_find(const wire::Find& message) {
    ObjectId id = message.actor;
    if (id.serial == 0) {
        std::lock_guard guard(mutex_);
        const auto entry = names_.find(message.name);
        if (entry != names_.end()) id = entry->second;
    }
    ask_owner(id, message.asker, message.question);
}

void Names::answer(Rank asker, std::uint64_t question, const CellPtr& actor) {
    if (asker == network_.self()) {
        std::lock_guard guard(mutex_);
        const auto found = questions_.find(question);
        if (found == questions_.end()) return;
        found->second.answer = actor;
        found->second.gathering->arrive();
        return;
    }
    wire::Written record(wire::Found{question, static_cast<bool>(actor)});
    if (actor) exchange_.describe(Object::of(*actor), asker, record);
    network_.send(asker, record);
}

void Names::on_found(const wire::Found& message, wire::RecordReader& tail) {
    CellPtr actor;
    if (message.given) actor = exchange_.adopt(tail);
    answer(network_.self(), message.question, actor);
}

}  // namespace mobula::runtime
