// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "graph/object.hpp"
#include "runtime/exchange.hpp"
#include "runtime/gathering.hpp"
#include "runtime/network.hpp"
#include "runtime/waits.hpp"
#include "worker/team.hpp"

namespace mobula::runtime {

/// Names of actors: rank 0 knows which actor has a name, the actor's owner gives handles of it.
/// Thread-safe.
class Names {
public:
    Names(Network& network, Exchange& exchange, worker::Team& team, Waits& waits)
        : network_(network), exchange_(exchange), team_(team), waits_(waits) {}

    /// Gives an actor of this rank, which lives on `rank`, a name. Throws BadInput when a living
    /// actor of this rank has it. False when only rank 0 knows whether one of another rank has it:
    /// then ask() is to be called, and on_named() hears the answer.
    [[nodiscard]] bool enter(const std::string& name, const ObjectId& id);
    void ask(const std::string& name, const ObjectId& id);
    /// Nobody has a handle of this rank's actor any more, or it is dead.
    void leave(const ObjectId& id);
    /// The actor, which lived on this rank, is dead: its owner shall free its name, if it has one.
    void died(const ObjectId& id);
    /// Asks and waits for the answer; null where there is none of that name.
    [[nodiscard]] CellPtr find(std::string_view name);

    void on_name(Rank from, const wire::Name& message);
    /// Why the actor may not begin; empty where it has the name that it asked for.
    [[nodiscard]] std::string on_named(const wire::Named& message);
    void on_find(const wire::Find& message);
    void on_found(const wire::Found& message, wire::RecordReader& tail);

private:
    struct Question {
        Gathering* gathering = nullptr;
        CellPtr answer;
    };

    void send(Rank to, bool enters, const ObjectId& id, const std::string& name);
    void free_name(const std::string& name, const ObjectId& id);
    void forget(std::unordered_map<ObjectId, std::string>::iterator own);
    void ask_owner(const ObjectId& id, Rank asker, std::uint64_t question);
    void answer(Rank asker, std::uint64_t question, const CellPtr& actor);

    Network& network_;
    Exchange& exchange_;
    worker::Team& team_;
    Waits& waits_;
    std::mutex mutex_;
    std::map<std::string, ObjectId, std::less<>> names_;  // on rank 0
    std::unordered_map<ObjectId, std::string> own_;       // names of actors of this rank
    std::unordered_set<std::string_view> own_names_;      // the texts in own_
    std::unordered_map<std::uint64_t, Question> questions_;
    std::uint64_t next_question_ = 1;
};

}  // namespace mobula::runtime
