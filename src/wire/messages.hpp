// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "base/ids.hpp"
#include "wire/fields.hpp"

/// What ranks tell each other: one struct for each kind of record. `fields()` names its fields in
/// the order in which they travel; wire/format.md has the same as a table. A message with a tail
/// begins a record that another codec goes on with. Texts and bytes of a message that was read
/// belong to the record.
namespace mobula::wire {

// ---- tasks ----

/// Of a task: what follows its head. A plain enum, because they are added up.
enum TaskFlags : std::uint32_t {
    has_options = 1,
    plain_arguments = 2,
    bound = 4,       ///< instead of options that only say that it must run there
    near_bytes = 8,  ///< it is bound just because its input bytes are there
};

/// What every task's record begins with.
struct TaskHead {
    std::uint32_t function = 0;  ///< in the table of functions
    std::uint32_t flags = 0;
    TaskKey key{};
};

struct RunTask {
    static constexpr Kind kind = Kind::task;
    TaskHead head;

    static void fields(auto& self, auto& visit) {
        visit("head", self.head).tail("[options], arguments");
    }
};

struct Spawn {
    static constexpr Kind kind = Kind::spawn;
    ObjectId actor;
    TaskHead head;

    static void fields(auto& self, auto& visit) {
        visit("actor", self.actor)("head", self.head).tail("[options], arguments");
    }
};

struct Call {
    static constexpr Kind kind = Kind::call;
    ObjectId actor;
    TaskHead head;

    static void fields(auto& self, auto& visit) {
        visit("actor", self.actor)("head", self.head).tail("[options], arguments");
    }
};

/// How a result comes back.
enum class ResultForm : std::uint8_t {
    plain,    ///< the bytes of its type
    encoded,  ///< as arguments are
    located,  ///< it stays where it was made
    failed,   ///< all results of the task have
};

/// What every result's record begins with.
struct ResultHead {
    TaskKey key{};
    std::uint32_t run_ns = 0;
    std::uint16_t number = 0;  ///< which of the task's results
    ResultForm form = ResultForm::plain;
    std::uint8_t unused = 0;
};

static_assert(sizeof(TaskHead) == 16 && sizeof(ResultHead) == 16, "no hole travels");

/// A value that stays on the rank that made it, until that is told to drop it.
struct KeptCopy {
    std::uint64_t serial = 0;  ///< by which the rank that keeps it finds it
    std::uint64_t bytes = 0;

    static void fields(auto& self, auto& visit) {
        visit("serial", self.serial)("bytes", self.bytes);
    }
};

struct Result {
    static constexpr Kind kind = Kind::result;
    ResultHead head;
    KeptCopy copy{};  ///< where it is located

    static void fields(auto& self, auto& visit) {
        visit("head", self.head).chosen(self.head.form, ResultForm::failed);
        switch (self.head.form) {
            case ResultForm::plain: return visit.tail("the bytes of its type");
            case ResultForm::encoded: return visit.tail("value");
            case ResultForm::located: return static_cast<void>(visit("copy", self.copy));
            case ResultForm::failed: return visit.tail("failure");
        }
    }
};

struct Recall {
    static constexpr Kind kind = Kind::recall;
    std::uint32_t count = 0;
    std::uint32_t how = 0;  ///< 1: kindly, 2: stuck, 3: those near their bytes too

    static void fields(auto& self, auto& visit) { visit("count", self.count)("how", self.how); }
};

struct Returned {
    static constexpr Kind kind = Kind::returned;
    std::uint32_t unready = 0;  ///< tasks that still wait there for the bytes of their inputs
    std::uint32_t idle_workers = 0;
    std::vector<TaskKey> tasks;

    static void fields(auto& self, auto& visit) {
        visit("unready", self.unready)("idle_workers", self.idle_workers)("tasks", self.tasks);
    }
};

struct Room {
    static constexpr Kind kind = Kind::room;
    static void fields(auto&, auto&) {}
};

struct Cancel {
    static constexpr Kind kind = Kind::cancel;
    TaskKey task;
    bool recursive = false;

    static void fields(auto& self, auto& visit) {
        visit("task", self.task)("recursive", self.recursive);
    }
};

// ---- objects ----

/// Where an object's value is.
struct Place {
    Rank rank{};
    KeptCopy copy;

    static void fields(auto& self, auto& visit) { visit("rank", self.rank)("copy", self.copy); }
};

/// What a record that names an object says of it.
enum class Known : std::uint8_t { pending, located, inside, failed, actor };

/// How a record speaks of an object: a part of values, arguments and answers.
struct Reference {
    ObjectId object;
    Known known = Known::pending;
    Place place{};      ///< where it is located
    Rank actor_rank{};  ///< of an actor
    Bytes inside{};     ///< its value or failure, encoded

    static void fields(auto& self, auto& visit) {
        visit("object", self.object).choice("known", self.known, Known::actor);
        switch (self.known) {
            case Known::pending: return;
            case Known::located: return static_cast<void>(visit("place", self.place));
            case Known::inside: return static_cast<void>(visit("value", self.inside));
            case Known::failed: return static_cast<void>(visit("failure", self.inside));
            case Known::actor: return static_cast<void>(visit("rank", self.actor_rank));
        }
    }
};

struct CancelObject {
    static constexpr Kind kind = Kind::cancel_object;
    ObjectId object;
    bool recursive = false;

    static void fields(auto& self, auto& visit) {
        visit("object", self.object)("recursive", self.recursive);
    }
};

struct Subscribe {
    static constexpr Kind kind = Kind::subscribe;
    ObjectId object;
    bool value = false;  ///< also send it

    static void fields(auto& self, auto& visit) {
        visit("object", self.object)("value", self.value);
    }
};

struct Done {
    static constexpr Kind kind = Kind::done;
    enum class Answer : std::uint8_t { located, failed };
    ObjectId object;
    Answer answer = Answer::located;
    Place place{};
    Bytes failure{};

    static void fields(auto& self, auto& visit) {
        visit("object", self.object).choice("answer", self.answer, Answer::failed);
        if (self.answer == Answer::located) {
            visit("place", self.place);
        } else {
            visit("failure", self.failure);
        }
    }
};

struct Fetch {
    static constexpr Kind kind = Kind::fetch;
    ObjectId object;  ///< as the asking rank knows it
    std::uint64_t serial = 0;

    static void fields(auto& self, auto& visit) {
        visit("object", self.object)("serial", self.serial);
    }
};

struct Value {
    static constexpr Kind kind = Kind::value;
    ObjectId object;
    bool given = false;
    Bytes failure{};  ///< why there is none

    static void fields(auto& self, auto& visit) {
        visit("object", self.object).choice("given", self.given, true);
        if (self.given) {
            visit.tail("value");
        } else {
            visit("failure", self.failure);
        }
    }
};

struct Grant {
    static constexpr Kind kind = Kind::grant;
    ObjectId object;
    Rank to{};

    static void fields(auto& self, auto& visit) { visit("object", self.object)("to", self.to); }
};

struct Release {
    static constexpr Kind kind = Kind::release;
    ObjectId object;
    std::int64_t grants = 0;  ///< that the rank has got and gives back

    static void fields(auto& self, auto& visit) {
        visit("object", self.object)("grants", self.grants);
    }
};

struct Drop {
    static constexpr Kind kind = Kind::drop;
    std::uint64_t serial = 0;

    static void fields(auto& self, auto& visit) { visit("serial", self.serial); }
};

// ---- actors ----

struct EndActor {
    static constexpr Kind kind = Kind::end_actor;
    ObjectId actor;

    static void fields(auto& self, auto& visit) { visit("actor", self.actor); }
};

struct KillActor {
    static constexpr Kind kind = Kind::kill_actor;
    ObjectId actor;
    std::string_view reason;

    static void fields(auto& self, auto& visit) {
        visit("actor", self.actor)("reason", self.reason);
    }
};

struct WatchActor {
    static constexpr Kind kind = Kind::watch_actor;
    ObjectId actor;

    static void fields(auto& self, auto& visit) { visit("actor", self.actor); }
};

struct AskActor {
    static constexpr Kind kind = Kind::ask_actor;
    ObjectId actor;

    static void fields(auto& self, auto& visit) { visit("actor", self.actor); }
};

struct ActorDead {
    static constexpr Kind kind = Kind::actor_dead;
    ObjectId actor;

    static void fields(auto& self, auto& visit) { visit("actor", self.actor).tail("failure"); }
};

struct Name {
    static constexpr Kind kind = Kind::name;
    bool enters = false;
    ObjectId actor;
    std::string_view name;

    static void fields(auto& self, auto& visit) {
        visit("enters", self.enters)("actor", self.actor)("name", self.name);
    }
};

struct Named {
    static constexpr Kind kind = Kind::named;
    bool given = false;
    ObjectId actor;
    std::string_view name;

    static void fields(auto& self, auto& visit) {
        visit("given", self.given)("actor", self.actor)("name", self.name);
    }
};

struct Find {
    static constexpr Kind kind = Kind::find;
    ObjectId actor;  ///< none in the question to rank 0
    Rank asker{};
    std::uint64_t question = 0;
    std::string_view name;

    static void fields(auto& self, auto& visit) {
        visit("actor", self.actor)("asker", self.asker)("question", self.question);
        visit("name", self.name);
    }
};

struct Found {
    static constexpr Kind kind = Kind::found;
    std::uint64_t question = 0;
    bool given = false;

    static void fields(auto& self, auto& visit) {
        visit("question", self.question).choice("given", self.given, true);
        if (self.given) visit.tail("reference");
    }
};

// ---- streams ----

struct Item {
    static constexpr Kind kind = Kind::item;
    enum class Form : std::uint8_t { encoded, located };
    TaskKey task;
    Form form = Form::encoded;
    KeptCopy copy{};  ///< where it is located

    static void fields(auto& self, auto& visit) {
        visit("task", self.task).choice("form", self.form, Form::located);
        if (self.form == Form::encoded) {
            visit.tail("value");
        } else {
            visit("copy", self.copy);
        }
    }
};

struct Consumed {
    static constexpr Kind kind = Kind::consumed;
    TaskKey task;

    static void fields(auto& self, auto& visit) { visit("task", self.task); }
};

// ---- placement groups ----

struct HoldGroup {
    static constexpr Kind kind = Kind::hold_group;
    std::uint64_t group = 0;

    static void fields(auto& self, auto& visit) {
        visit("group", self.group).tail("count u32, then of each bundle: number u32, resources");
    }
};

struct HeldGroup {
    static constexpr Kind kind = Kind::held_group;
    std::uint64_t group = 0;

    static void fields(auto& self, auto& visit) { visit("group", self.group); }
};

struct FreeGroup {
    static constexpr Kind kind = Kind::free_group;
    std::uint64_t group = 0;

    static void fields(auto& self, auto& visit) { visit("group", self.group); }
};

// ---- the job ----

struct Output {
    static constexpr Kind kind = Kind::output;
    std::string_view line;

    static void fields(auto& self, auto& visit) { visit("line", self.line); }
};

struct AskOutput {
    static constexpr Kind kind = Kind::ask_output;
    std::uint64_t question = 0;

    static void fields(auto& self, auto& visit) { visit("question", self.question); }
};

struct OutputDone {
    static constexpr Kind kind = Kind::output_done;
    std::uint64_t question = 0;

    static void fields(auto& self, auto& visit) { visit("question", self.question); }
};

struct Stalled {
    static constexpr Kind kind = Kind::stalled;
    static void fields(auto&, auto&) {}
};

struct Waits {
    static constexpr Kind kind = Kind::waits;
    bool moves = false;  ///< something does there

    static void fields(auto& self, auto& visit) { visit("moves", self.moves).tail("list"); }
};

struct Finish {
    static constexpr Kind kind = Kind::finish;
    static void fields(auto&, auto&) {}
};

struct Handles {
    static constexpr Kind kind = Kind::handles;
    static void fields(auto&, auto& visit) { visit.tail("list"); }
};

struct Broken {
    static constexpr Kind kind = Kind::broken;
    std::int32_t code = 0;  ///< of the job's exit
    std::string_view reason;
    std::uint32_t lost = 0;  ///< the rank that died; no rank's number: none did
    bool said = false;       ///< on the terminal, by the rank that sends this

    static void fields(auto& self, auto& visit) {
        visit("code", self.code)("reason", self.reason)("lost", self.lost)("said", self.said);
    }
};

/// All of them, in the order of their kinds.
using Messages =
    std::tuple<RunTask, Result, Recall, Returned, Room, Cancel, CancelObject, Subscribe, Done,
               Fetch, Value, Grant, Release, Drop, Spawn, Call, EndActor, KillActor, WatchActor,
               AskActor, ActorDead, Name, Named, Find, Found, Item, Consumed, HoldGroup, HeldGroup,
               FreeGroup, Output, AskOutput, OutputDone, Stalled, Waits, Finish, Handles, Broken>;

}  // namespace mobula::wire
