// SPDX-License-Identifier: Apache-2.0

/// The one place where messages of other ranks come in.

#include <exception>
#include <span>
#include <string>

#include "runtime/engine.hpp"

namespace mobula::runtime {

using wire::Kind;

/// A holder of one of this rank's objects wants it no more; it may be done or gone by now.
void Engine::on_cancel_object(const wire::CancelObject& message) {
    if (const detail::CellPtr cell = exchange.find_owned(message.object)) {
        cancel(Object::of(*cell), message.recursive);
    }
}

void Engine::on_record(Rank from, std::span<const std::byte> record) {
    try {
        wire::RecordReader reader(record);
        const Kind kind = reader.get<Kind>();
        if (last_word.begun() && kind != Kind::broken) return;
        handle(from, kind, reader);
    } catch (const std::exception& error) {
        end_job("rank " + std::to_string(index(from)) + " sent what rank " +
                std::to_string(index(self())) + " cannot accept: " + error.what());
    }
}

/// Each message is read and checked here, and given to the part that it is for.
void Engine::handle(Rank from, Kind kind, wire::RecordReader& reader) {
    const Network& net = network;
    switch (kind) {
        case Kind::task: return dispatcher.on_task(from, net.read<wire::RunTask>(reader), reader);
        case Kind::spawn: return actors.on_spawn(from, net.read<wire::Spawn>(reader), reader);
        case Kind::call: return actors.on_call(from, net.read<wire::Call>(reader), reader);
        case Kind::result:
            return dispatcher.on_result(from, net.read<wire::Result>(reader), reader);
        case Kind::recall: return dispatcher.on_recall(from, net.read<wire::Recall>(reader));
        case Kind::returned: return dispatcher.on_returned(from, net.read<wire::Returned>(reader));
        case Kind::room: return dispatcher.on_room(from, net.read<wire::Room>(reader));
        case Kind::cancel: return dispatcher.on_cancel(from, net.read<wire::Cancel>(reader));
        case Kind::cancel_object: return on_cancel_object(net.read<wire::CancelObject>(reader));
        case Kind::subscribe: return exchange.on_subscribe(from, net.read<wire::Subscribe>(reader));
        case Kind::done: return exchange.on_done(net.read<wire::Done>(reader));
        case Kind::fetch: return exchange.on_fetch(from, net.read<wire::Fetch>(reader));
        case Kind::value: return exchange.on_value(from, net.read<wire::Value>(reader), reader);
        case Kind::grant: return exchange.on_grant(net.read<wire::Grant>(reader));
        case Kind::release: return exchange.on_release(from, net.read<wire::Release>(reader));
        case Kind::drop: return exchange.on_drop(net.read<wire::Drop>(reader));
        case Kind::end_actor: return actors.on_end(net.read<wire::EndActor>(reader));
        case Kind::kill_actor: return actors.on_kill(net.read<wire::KillActor>(reader));
        case Kind::watch_actor: return actors.on_watch(from, net.read<wire::WatchActor>(reader));
        case Kind::ask_actor: return actors.on_ask(from, net.read<wire::AskActor>(reader));
        case Kind::actor_dead: return actors.on_dead(net.read<wire::ActorDead>(reader), reader);
        case Kind::name: return names.on_name(from, net.read<wire::Name>(reader));
        case Kind::named: {
            const auto named = net.read<wire::Named>(reader);
            return actors.named(named.actor, names.on_named(named));
        }
        case Kind::find: return names.on_find(net.read<wire::Find>(reader));
        case Kind::found: return names.on_found(net.read<wire::Found>(reader), reader);
        case Kind::item: return streams.on_item(from, net.read<wire::Item>(reader), reader);
        case Kind::consumed: return streams.on_consumed(from, net.read<wire::Consumed>(reader));
        case Kind::hold_group:
            return resources.on_hold(from, net.read<wire::HoldGroup>(reader), reader);
        case Kind::held_group: return resources.on_held(from, net.read<wire::HeldGroup>(reader));
        case Kind::free_group: return resources.on_free(from, net.read<wire::FreeGroup>(reader));
        case Kind::output:
            return printer_.print(static_cast<unsigned>(index(from)),
                                  net.read<wire::Output>(reader).line);
        case Kind::ask_output: return forwarder.on_ask(from, net.read<wire::AskOutput>(reader));
        case Kind::output_done: return forwarder.on_answer(net.read<wire::OutputDone>(reader));
        case Kind::stalled: return stall_watch.on_stalled(from, net.read<wire::Stalled>(reader));
        case Kind::waits: return stall_watch.on_waits(net.read<wire::Waits>(reader), reader);
        case Kind::finish: return on_finish(from, net.read<wire::Finish>(reader));
        case Kind::handles:
            return handle_circles.on_handles(net.read<wire::Handles>(reader), reader);
        case Kind::broken: return last_word.hear(from, net.read<wire::Broken>(reader));
    }
    throw Error("a record of no known kind");
}

}  // namespace mobula::runtime
