// SPDX-License-Identifier: Apache-2.0
#include "transport/ucx_transport.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "native/file.hpp"

namespace mobula::transport {

namespace {

// Messages that UCX has not taken over need progress although no event tells so.
constexpr auto short_nap = std::chrono::milliseconds(1);
// For what the network has taken over to arrive.
constexpr auto last_word_time = std::chrono::seconds(2);
constexpr auto long_nap = std::chrono::milliseconds(8);

constexpr int refusals_before_nap = 16;
constexpr int refusals_before_long_nap = 128;

// Another thread has the turn: it progresses now, but need not do so again. Where it does not get a
// CPU meanwhile, whoever waits for it must not take it away by looking often.
constexpr auto nap_while_another_progresses = std::chrono::microseconds(500);
constexpr int nap_doublings_max = 5;

// One fragment on every network: TCP takes 8192 bytes with UCX's own headers, shared memory more.
constexpr std::size_t batch_bytes_max = 8128;

const Settings& checked(const Settings& settings) {
    const auto& verb = settings.force_verb;
    if (!verb.empty() && verb != "map" && verb != "get" && verb != "push") {
        throw std::invalid_argument("force_verb is '" + verb + "'; it can be map, get or push");
    }
    if (settings.batch_bytes < 256 || settings.batch_bytes > batch_bytes_max) {
        throw std::invalid_argument("batch_bytes must be from 256 to 8128");
    }
    if (settings.chunk_bytes < 4096 || settings.chunks_in_flight == 0) {
        throw std::invalid_argument("chunk_bytes must be at least 4096, chunks_in_flight 1");
    }
    return settings;
}

}  // namespace

std::unique_ptr<UcxTransport> make_ucx_transport(const Settings& settings, std::size_t ranks,
                                                 std::size_t ranks_on_node, bool together) {
    const native::UcpNeeds needs{.endpoints_expected = ranks,
                                 .ranks_on_node = ranks_on_node,
                                 .workers = together && !settings.always_pulse ? 1U : 2U,
                                 .network = !together};
    return std::make_unique<UcxTransportImpl>(settings, needs);
}

UcxTransportImpl::UcxTransportImpl(const Settings& settings, const native::UcpNeeds& needs)
    : settings_(checked(settings)),
      ranks_(needs.endpoints_expected),
      verbs_(ranks_, Verb::push),
      outbox_(ranks_, settings.batch_bytes, settings.backlog_bytes),
      net_(ranks_, UcxNet::make_context(needs, settings.force_verb == "get"), outbox_.pool()),
      pulse_(needs.workers > 1 ? std::make_unique<Pulse>(net_.context()) : nullptr),
      bulk_(settings_, net_),
      sleeper_(net_.worker().event_fd()) {}

UcxTransportImpl::~UcxTransportImpl() {
    ended_ = true;
    if (pulse_) pulse_->stop();
    net_.close_all(Clock::now());
    // What UCX still has must be over before its memory goes; a forced close ends it soon.
    const Time latest = Clock::now() + std::chrono::seconds(2);
    while (net_.in_flight() + bulk_.in_flight() > 0 && Clock::now() < latest) net_.progress();
}

/// Both addresses, and behind them the size of the second.
std::vector<std::byte> UcxTransportImpl::address() const {
    std::vector<std::byte> both = net_.worker().address();
    const std::vector<std::byte> beats = pulse_ ? pulse_->address() : std::vector<std::byte>{};
    both.insert(both.end(), beats.begin(), beats.end());
    const auto size = static_cast<std::uint32_t>(beats.size());
    const auto bytes = std::as_bytes(std::span(&size, 1));
    both.insert(both.end(), bytes.begin(), bytes.end());
    return both;
}

namespace {

/// Takes the address of the pulse off the one of the rank and returns it.
std::vector<std::byte> split(std::vector<std::byte>& both) {
    std::uint32_t size = 0;
    const bool has_size = both.size() >= sizeof size;
    if (has_size) {
        std::memcpy(&size, both.data() + both.size() - sizeof size, sizeof size);
        both.resize(both.size() - sizeof size);
    }
    if (!has_size || size > both.size()) throw std::runtime_error("a rank's address is too short");
    const auto middle = both.end() - static_cast<std::ptrdiff_t>(size);
    std::vector<std::byte> beats(middle, both.end());
    both.erase(middle, both.end());
    return beats;
}

}  // namespace

void UcxTransportImpl::start(const Meeting& meeting, ArenaView arena, Delegate& delegate) {
    check(delegate_ == nullptr, "a transport is started once");
    check(meeting.nodes.size() == ranks_ && meeting.mapped.size() == ranks_,
          "the meeting has a node and a mapping for each rank");
    self_ = meeting.self;
    delegate_ = &delegate;
    Meeting records = meeting;
    std::vector<std::vector<std::byte>> beats;
    for (auto& address : records.addresses) beats.push_back(split(address));
    net_.meet(records);
    beats_ = meeting.beats;
    bulk_.start(arena);
    const Verb between_nodes = net_.serves_reads() ? Verb::get : Verb::push;
    for (std::size_t r = 0; r < ranks_; ++r) {
        verbs_[r] = meeting.mapped[r] ? Verb::map : between_nodes;
        if (settings_.force_verb == "get") verbs_[r] = Verb::get;
        if (settings_.force_verb == "push") verbs_[r] = Verb::push;
    }
    const auto dead_after = meeting.declared_dead_after.count() != 0
                                ? meeting.declared_dead_after
                                : settings_.declared_dead_after;
    membership_.emplace(
        self_, meeting.nodes, meeting.incarnations,
        MembershipLimits{settings_.heartbeat, dead_after,
                         std::max(settings_.join_within, 2 * dead_after), settings_.neighbours},
        Clock::now());
    for (unsigned id = 0; id < native::UcpWorker::ids; ++id) {
        net_.worker().on_message(id, &on_stray, this);
    }
    net_.worker().on_message(static_cast<unsigned>(MessageId::batch), &on_batch, this);
    net_.worker().on_message(static_cast<unsigned>(MessageId::control), &on_control, this);
    net_.worker().on_message(static_cast<unsigned>(MessageId::chunk), &on_chunk, this);
    if (!pulse_) return;
    pulse_->beat_to(membership_->neighbours());
    pulse_->start(meeting, std::move(beats), settings_.heartbeat);
}

void UcxTransportImpl::send(Rank to, std::span<const std::byte> record) {
    check(to != self_ && index(to) < ranks_, "a record goes to another rank of the job");
    check(!record.empty() && record.size() <= record_bytes_max,
          "a record has from 1 byte to record_bytes_max");
    if (outbox_.append(to, record)) flush();
}

void UcxTransportImpl::flush() noexcept {
    if (!outbox_.has_work() || !turn_.enter_or_ask()) return;
    work();
    turn_.leave([this] { work(); });
}

void UcxTransportImpl::work() {
    if (outbox_.has_work()) {
        outbox_.take([this](Rank to, bool full) { return net_.may_post(to, full); },
                     [this](Batch* batch) {
                         sums_.records_sent.add(batch->records);
                         sums_.messages_sent.add(1);
                         sums_.bytes_sent.add(batch->used);
                         membership_->told(batch->to);
                         net_.post(batch);
                     });
    }
    if (bulk_.has_requests()) {
        bulk_.take_requests([this](Rank peer) { return membership_->lives(peer); });
    }
    if (const auto due = tick_due_.load(std::memory_order_relaxed); due != 0) {
        tick_due_.store(0, std::memory_order_relaxed);
        do_tick(Time(Duration(due)));
    }
    bulk_.pump();
    // Whoever sleeps armed itself before these messages were under way, and must help them along.
    if (net_.awaited() > 0 && sleeper_.somebody_sleeps()) sleeper_.wake();
}

bool UcxTransportImpl::progress() {
    if (!turn_.enter()) return false;
    if (has_work()) work();
    bool moved = net_.progress();
    if (moved || net_.needs_care() || news_ || bulk_.has_outcomes()) moved = settle() || moved;
    if (has_work()) work();
    turn_.leave([this] { work(); });
    return moved;
}

bool UcxTransportImpl::settle() {
    for (const Rank peer : net_.roomy()) outbox_.resume(peer);
    net_.roomy().clear();
    if (!net_.failures().empty()) {
        // What the peer sent before its end comes first: it may have said goodbye.
        for (int n = 0; n < 1000 && net_.progress(); ++n) {
        }
        const auto failures = std::exchange(net_.failures(), {});
        for (const auto& failure : failures) lose(failure.peer, failure.reason, false);
    }
    if (!news_ && !bulk_.has_outcomes()) return false;
    report_news();
    return true;
}

void UcxTransportImpl::report_news() {
    news_ = false;
    bulk_.report();
    const auto losses = std::exchange(losses_, {});
    for (const auto& loss : losses) delegate_->on_peer_lost(loss.rank, loss.reason);
    const std::string fenced = std::exchange(fenced_because_, {});
    if (!fenced.empty()) delegate_->on_fenced(fenced);
}

void UcxTransportImpl::wait(Time deadline) {
    if (waiting_.exchange(true, std::memory_order_acquire)) return;
    if (sleeper_.begin()) {
        const Time now = Clock::now();
        Time until = std::min(deadline, now + settings_.heartbeat);
        if (turn_.enter()) {
            turns_missed_ = 0;
            const bool quiet =
                !outbox_.has_work() && !news_ && !bulk_.has_outcomes() && may_sleep();
            if (refusals_ > 0 || net_.awaited() + bulk_.awaited() > 0) {
                const bool for_long = refusals_ > refusals_before_long_nap;
                until = std::min<Time>(until, now + (for_long ? long_nap : short_nap));
            }
            turn_.leave([this] { work(); });
            if (quiet) {
                sums_.sleeps.add(1);
                sleeper_.sleep(until);
            }
        } else {
            const auto doublings = std::min(turns_missed_++, nap_doublings_max);
            sums_.sleeps.add(1);
            sleeper_.nap(
                std::min<Time>(until, now + nap_while_another_progresses * (1 << doublings)));
        }
        sleeper_.end();
    }
    waiting_.store(false, std::memory_order_release);
}

bool UcxTransportImpl::may_sleep() {
    if (net_.worker().arm()) {
        refusals_ = 0;
        return true;
    }
    // Mostly something has just come. But UCX refuses for ever while a peer that stands still
    // leaves messages to it in a queue; when nothing comes of looking again, short naps must do.
    if (std::exchange(activity_at_refusal_, net_.activity()) != net_.activity()) refusals_ = 0;
    return ++refusals_ > refusals_before_nap;
}

void UcxTransportImpl::fetch(Rank from, std::uint64_t offset, std::span<std::byte> into,
                             Fetch& fetch) {
    bulk_.request(from, verb(from), offset, into, fetch);
    if (!turn_.enter_or_ask()) return;
    work();
    turn_.leave([this] { work(); });
    if (sleeper_.somebody_sleeps()) sleeper_.wake();
}

std::size_t UcxTransportImpl::backlog_bytes(Rank peer) const noexcept {
    return outbox_.waiting_bytes(peer) + net_.in_flight_bytes(peer);
}

void UcxTransportImpl::tick(Time now) {
    tick_due_.store(std::max<Time::rep>(now.time_since_epoch().count(), 1));
    if (!turn_.enter_or_ask()) return;
    work();
    turn_.leave([this] { work(); });
}

void UcxTransportImpl::do_tick(Time now) {
    if (leaving_) return;
    if (pulse_) hear_pulses();
    hear_shared_beats();
    const auto round = membership_->tick(now);
    if (pulse_) pulse_->beat_to(membership_->neighbours());
    for (const auto& death : round.deaths) bury(death.rank, death.reason, true);
    for (const Rank peer : round.beat_to) net_.post(peer, Control{.kind = ControlKind::beat});
    if (fences_sent_.size() != 0) fences_sent_ = {};
}

void UcxTransportImpl::hear_pulses() {
    pulse_->collect([this](Rank rank) { hear(rank); });
}

void UcxTransportImpl::hear_shared_beats() {
    if (beats_.empty()) return;
    for (const Rank rank : membership_->neighbours()) {
        SharedBeat::Watched* const beat = beats_[index(rank)];
        if (beat != nullptr && beat->beaten()) hear(rank);
    }
}

/// A sign of life that is no message.
void UcxTransportImpl::hear(Rank rank) {
    const auto verdict = membership_->hears(rank, membership_->incarnation(rank));
    if (verdict == Membership::Verdict::fence) fence(rank);
}

void UcxTransportImpl::lose(Rank peer, const std::string& reason, bool reachable) {
    if (!leaving_ && membership_->declare_dead(peer)) return bury(peer, reason, reachable);
    if (!reachable) net_.close(peer);
}

void UcxTransportImpl::bury(Rank peer, const std::string& reason, bool reachable) {
    outbox_.close(peer);
    const bool was_connected = net_.is_connected(peer);
    bulk_.lose(peer, reason);
    if (Inbound* const inbound = inbound_.find(peer)) inbound->early.clear();
    losses_.push_back({peer, reason});
    news_ = true;
    // Where it is this rank that can open no connection, the peer is well.
    if (reachable || !native::lacks_descriptors()) tell_of(ControlKind::death, peer, reason);
    // It may only be slow or stopped; when it comes back this tells it to go. One that was never
    // spoken to is told when it speaks.
    if (reachable && was_connected) fence(peer);
    // UCX would busy itself for ever with what it cannot hand to a peer that stands still.
    if (!reachable || was_connected) net_.close(peer);
    if (sleeper_.somebody_sleeps()) sleeper_.wake();
}

void UcxTransportImpl::take_leave_of(Rank peer) {
    if (!membership_->declare_left(peer)) return;
    outbox_.close(peer);
    bulk_.lose(peer, fmt::format("rank {} has left the job", index(peer)));
}

void UcxTransportImpl::tell_of(ControlKind kind, Rank subject, std::string_view reason) {
    const auto& neighbours = membership_->neighbours();
    const Control news{.kind = kind, .subject = static_cast<std::uint32_t>(index(subject))};
    for (std::size_t r = 0; r < ranks_; ++r) {
        const Rank peer{static_cast<std::uint32_t>(r)};
        if (peer == self_ || peer == subject || !membership_->lives(peer)) continue;
        // No new connections for this: neighbours and acquaintances pass it on to all others.
        if (net_.is_connected(peer) ||
            std::find(neighbours.begin(), neighbours.end(), peer) != neighbours.end()) {
            net_.post(peer, news, std::as_bytes(std::span(reason)));
        }
    }
}

void UcxTransportImpl::fence(Rank peer) {
    if (fences_sent_.find(peer) != RankIndex::none) return;
    fences_sent_.add(peer);
    constexpr std::string_view words = "it was not heard of for too long";
    net_.post(
        peer,
        Control{.kind = ControlKind::death, .subject = static_cast<std::uint32_t>(index(peer))},
        std::as_bytes(std::span(words)));
}

template <class Done>
bool UcxTransportImpl::drive_until(Time deadline, Done done) {
    while (!done()) {
        if (Clock::now() >= deadline) return false;
        if (!progress()) wait(std::min<Time>(deadline, Clock::now() + short_nap));
    }
    return true;
}

bool UcxTransportImpl::drive_until_sent(Time deadline) {
    return drive_until(
        deadline, [this] { return !outbox_.has_work() && net_.awaited() == 0 && !bulk_.busy(); });
}

/// All say goodbye to the first of them, which tells them when none is missing: a rank that goes
/// earlier could still be spoken to by one that has not heard of its end.
bool UcxTransportImpl::leave(Time deadline) {
    leaving_ = true;
    flush();
    if (!drive_until_sent(deadline)) return false;
    const Rank host = membership_->first();
    const bool over = self_ == host ? see_off(deadline) : say_goodbye(host, deadline);
    return over && drive_until_sent(deadline);
}

/// Signs of life end in between: no rank may go while another one still makes a connection to it.
bool UcxTransportImpl::see_off(Time deadline) {
    if (!drive_until(deadline, [this] { return membership_->is_last(); })) return false;
    std::vector<Rank> others;
    for (std::size_t r = 0; r < ranks_; ++r) {
        const Rank peer{static_cast<std::uint32_t>(r)};
        if (membership_->state(peer) == Membership::State::left) others.push_back(peer);
    }
    if (pulse_) {
        for (const Rank peer : others) say(peer, ControlKind::quiet);
        if (!drive_until_sent(deadline)) return false;
        pulse_->settle();
        const auto all_quiet = [&] { return quiet_.size() >= others.size(); };
        if (!drive_until(deadline, all_quiet)) return false;
    }
    for (const Rank peer : others) say(peer, ControlKind::closed);
    return true;
}

bool UcxTransportImpl::say_goodbye(Rank host, Time deadline) {
    say(host, ControlKind::left);
    const auto heard = [this] { return closed_ || quiet_.size() != 0; };
    if (!drive_until(deadline, heard)) return false;
    if (closed_ || !pulse_) return true;
    pulse_->settle();
    say(host, ControlKind::quiet);
    return drive_until(deadline, [this] { return closed_; });
}

void UcxTransportImpl::say(Rank to, ControlKind kind) {
    if (!turn_.enter_or_ask()) return;  // leave() is alone by now, so it is not refused
    net_.post(to, Control{.kind = kind, .subject = static_cast<std::uint32_t>(index(self_))});
    turn_.leave([this] { work(); });
}

/// Only the first rank still has something under way, its last word to the others: all it sent was
/// taken over by UCX, so a moment for the network is enough. Those who heard it must not wait at
/// all: where a peer went before a connection to it was complete, UCX would have them wait for its
/// part in that for most of a minute.
void UcxTransportImpl::close(Time deadline) {
    if (pulse_) pulse_->stop();
    const Time now = Clock::now();
    const bool last_word = self_ == membership_->first();
    net_.close_all(last_word ? std::min<Time>(deadline, now + last_word_time) : now);
}

Counters UcxTransportImpl::counters() const {
    Counters now;
    now.records_sent = sums_.records_sent.get();
    now.messages_sent = sums_.messages_sent.get();
    now.bytes_sent = sums_.bytes_sent.get();
    now.records_received = sums_.records_received.get();
    now.messages_received = sums_.messages_received.get();
    now.bytes_received = sums_.bytes_received.get();
    now.bytes_fetched = bulk_.bytes_fetched();
    now.sleeps = sums_.sleeps.get();
    now.messages_refused = sums_.messages_refused.get();
    if (pulse_) {
        now.beats_heard = pulse_->beats_heard();
        now.messages_refused += pulse_->beats_refused();
    }
    return now;
}

}  // namespace mobula::transport
