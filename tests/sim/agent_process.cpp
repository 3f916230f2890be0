// SPDX-License-Identifier: MIT
#include "agent_process.hpp"

#include <algorithm>

#include "agent/prepare.hpp"
#include "agent/ui_files.hpp"
#include "base/match.hpp"
#include "comfy/rewrite.hpp"
#include "link/codec.hpp"
#include "probe.hpp"

namespace atelier::sim {
namespace {

using agent::RunKey;

constexpr int kResumesMax = 8;

std::string output_target(const agent::Upload& action) {
  return fmt::format("/worker/output/{}/{}/{}?digest={}&size={}", action.key.job, action.key.epoch,
                     action.file, action.digest.hex(), action.size);
}

std::optional<std::uint64_t> offset_of(const HttpAnswer& answer) {
  const std::string_view text = answer.headers.get("Upload-Offset");
  if (text.empty()) return std::nullopt;
  return std::stoull(std::string(text));
}

}  // namespace

AgentProcess::AgentProcess(World& world, Network& network, Options options)
    : world_(world), network_(network), options_(std::move(options)), random_(options_.seed, 3) {
  for (std::uint32_t slot = 0; slot < options_.slots; ++slot) add_engine(slot);
  info_ =
      std::make_shared<const comfy::ObjectInfo>(comfy::ObjectInfo::parse(engine(0)->object_info()).value());
}

FakeComfy* AgentProcess::engine(std::uint32_t slot) const {
  return slot < engines_.size() ? engines_[slot].comfy.get() : nullptr;
}

void AgentProcess::add_engine(std::uint32_t slot) {
  if (slot >= engines_.size()) engines_.resize(slot + 1);
  engines_[slot].comfy = std::make_unique<FakeComfy>(world_, random_.next(), options_.models);
  engines_[slot].comfy->faults = faults_;
}

void AgentProcess::set_faults(const EngineFaults& faults) {
  faults_ = faults;
  for (const Engine& engine : engines_) {
    if (engine.comfy) engine.comfy->faults = faults;
  }
}

void AgentProcess::kill_an_engine() {
  if (FakeComfy* const any = engine(static_cast<std::uint32_t>(random_.below(engines_.size())))) any->kill();
}

void AgentProcess::start() {
  agent::MachineOptions options;
  options.name = options_.name;
  options.version = "sim";
  options.slots = options_.slots;
  options.launched = options_.launches;
  options.boot = random_.key();
  options.seed = random_.next();
  options.drain_limit = milliseconds{60'000};
  life_ = std::make_shared<Life>(std::move(options));
  const LifePtr life = life_;
  for (const auto& [key, kept] : kept_) {
    SIM_PROBE("run_restored");
    life->runs[key] = kept.data;
    life->restored.insert(key);
    life->machine.restore(kept.run);
  }
  for (agent::Action& action : life->machine.start(world_.now())) act(life, std::move(action));
  for (std::uint32_t slot = 0; slot < options_.slots; ++slot) {
    if (engine(slot) == nullptr) add_engine(slot);  // it was removed in an earlier life
    connect_engine(slot, random_.ms(50, 500));
  }
}

void AgentProcess::connect_engine(std::uint32_t slot, milliseconds until_up) {
  const std::weak_ptr<Life> weak = life_;
  FakeComfy* const comfy = engine(slot);
  // A slot may be another ComfyUI by then.
  const auto with_life = [this, weak, slot, comfy](const auto& act) {
    const LifePtr life = weak.lock();
    if (life && engine(slot) == comfy) act(life);
  };
  comfy->on_event = [this, with_life, slot](std::string text) {
    // One socket: what was said first comes first.
    Instant& last = engines_[slot].last_event;
    last = std::max(last, world_.now() + random_.ms(1, 10));
    world_.at(last, [this, with_life, slot, text = std::move(text)] {
      with_life([&](const LifePtr& life) { feed(life, agent::EngineEvent{slot, text}); });
    });
  };
  comfy->on_down = [this, with_life, slot] {
    with_life([&](const LifePtr& life) { feed(life, agent::EngineDown{slot, "killed"}); });
  };
  comfy->on_up = [this, with_life, slot] {
    with_life([&](const LifePtr& life) { engine_is_up(life, slot); });
  };
  if (!comfy->up()) return;
  world_.after(until_up, [this, with_life, slot, comfy] {
    with_life([&](const LifePtr& life) {
      if (comfy->up()) engine_is_up(life, slot);
    });
  });
}

void AgentProcess::let_go_of_engine(std::uint32_t slot) {
  Engine& engine = engines_[slot];
  if (!engine.comfy) return;
  engine.comfy->on_event = nullptr;
  engine.comfy->on_down = engine.comfy->on_up = nullptr;
  if (slot < options_.slots && life_ == nullptr) return;  // it is met again
  former_.push_back(std::move(engine.comfy));
}

void AgentProcess::carry_out(const LifePtr& life, const agent::AddEngine& action) {
  world_.after(random_.ms(1, 30), [this, life, slot = action.slot] {
    if (life != life_) return;
    if (random_.chance(100)) {
      SIM_PROBE("slot_not_added");
      return feed(life, agent::EngineAdded{slot, fail(Errc::config, "the port is taken")});
    }
    SIM_PROBE("slot_added");
    add_engine(slot);
    connect_engine(slot, random_.ms(1'000, 10'000));
    feed(life, agent::EngineAdded{slot, {}});
  });
}

void AgentProcess::carry_out(const LifePtr& life, const agent::RemoveEngine& action) {
  SIM_PROBE("slot_removed");
  world_.trace("{} lets go of slot {}", options_.name, action.slot);
  world_.after(random_.ms(1, 5'000), [this, life, slot = action.slot] {
    if (life != life_) return;
    let_go_of_engine(slot);
    feed(life, agent::EngineRemoved{slot});
  });
}

void AgentProcess::engine_is_up(const LifePtr& life, std::uint32_t slot) {
  FakeComfy& comfy = *engine(slot);
  comfy.clear();  // runs of an earlier life
  agent::EngineInfo info;
  info.comfy_version = "0.21.0";
  info.object_info = sha256(comfy.object_info());
  info.engine_start = comfy.started_at();
  info.device = "cpu";
  feed(life, agent::EngineUp{slot, std::move(info)});
}

void AgentProcess::kill(bool machine_gone) {
  if (!life_) return;
  SIM_PROBE("agent_killed");
  world_.trace("{} killed{}", options_.name, machine_gone ? " with its machine" : "");
  if (life_->pipe) life_->pipe->agent_gone(!machine_gone);
  end_life();
  if (machine_gone) kept_.clear();
  world_.after(random_.ms(500, 90'000), [this] { start(); });
}

void AgentProcess::end_life() {
  life_.reset();
  for (std::uint32_t slot = 0; slot < engines_.size(); ++slot) let_go_of_engine(slot);
}

void AgentProcess::drain() {
  if (!life_ || life_->draining) return;
  SIM_PROBE("agent_drained");
  life_->draining = true;
  feed(life_, agent::DrainRequested{"asked to stop"});
}

void AgentProcess::feed(LifePtr life, agent::Input input) {
  if (life != life_) return;
  for (agent::Action& action : life->machine.on(world_.now(), input)) {
    if (life != life_) return;
    act(life, std::move(action));
  }
  if (life != life_) return;  // it has left
  // One tick is set at a time; a later one that is not needed any more does nothing.
  const Instant next = life->machine.next_at();
  if (next.ms > world_.now().ms + 3'600'000) return;
  const std::uint64_t mine = ++life->tick_set;
  world_.at(next, [this, weak = std::weak_ptr<Life>(life), mine] {
    if (const LifePtr alive = weak.lock(); alive && alive->tick_set == mine) feed(alive, agent::Tick{});
  });
}

void AgentProcess::act(const LifePtr& life, agent::Action action) {
  std::visit(Match{[&](agent::Dial&) { dial(life); },
                   [&](agent::CloseLink&) {
                     if (life->pipe) life->pipe->agent_gone(true);
                     life->pipe.reset();
                   },
                   [&](agent::Send& send) {
                     if (!life->pipe) return;
                     if (const auto* preview = std::get_if<link::Preview>(&send.message)) {
                       life->pipe->to_server(net::Message::binary(link::encode_preview(*preview)));
                     } else {
                       life->pipe->to_server(net::Message::text(link::encode(send.message)));
                     }
                   },
                   [&](agent::FetchJob& fetch_job) { fetch(life, std::move(fetch_job)); },
                   [&](agent::PostRun& post) {
                     world_.after(random_.ms(1, 30), [this, life, post] {
                       if (life != life_) return;
                       FakeComfy* const comfy = engine(post.slot);
                       const auto result = comfy == nullptr ? agent::PostResult::unreachable
                                                            : comfy->post(life->runs[post.key].post_body);
                       world_.after(random_.ms(1, 30), [this, life, post, result] {
                         feed(life, agent::RunPosted{post.key, result,
                                                     result == agent::PostResult::refused ? "{}" : ""});
                       });
                     });
                   },
                   [&](agent::AskRun& ask) {
                     world_.after(random_.ms(1, 60), [this, life, ask] {
                       const std::string id = ask.run_id.uuid();
                       const FakeComfy* const comfy = engine(ask.slot);
                       if (comfy != nullptr)
                         feed(life, agent::RunAsked{ask.key, comfy->place(id), comfy->history(id)});
                     });
                   },
                   [&](agent::InterruptRun& interrupt) {
                     world_.after(random_.ms(1, 30), [this, interrupt] {
                       if (FakeComfy* const comfy = engine(interrupt.slot))
                         comfy->interrupt(interrupt.run_id.uuid());
                     });
                   },
                   [&](agent::Collect& files) {
                     world_.after(random_.ms(1, 60), [this, life, files] { collect(life, files); });
                   },
                   [&](agent::CollectRest& files) {
                     world_.after(random_.ms(1, 60), [this, life, files] { collect_rest(life, files); });
                   },
                   [&](agent::Upload& file) { upload(life, std::move(file)); },
                   [&](agent::PublishObjectInfo& info) { publish(life, info); },
                   [&](agent::Keep& kept) {
                     world_.after(random_.ms(1, 60), [this, life, kept] { keep(life, kept); });
                   },
                   [&](agent::Forget& forget) {
                     life->runs.erase(forget.key);
                     kept_.erase(forget.key);
                   },
                   [](agent::Prefetch&) {},
                   [](agent::FreeEngine&) {},
                   [&](agent::RestartEngine& restart) {
                     SIM_PROBE("engine_restarted");
                     world_.after(random_.ms(1, 30), [this, slot = restart.slot] {
                       if (FakeComfy* const comfy = engine(slot)) comfy->kill();
                     });
                   },
                   [&](agent::AddEngine& add) { carry_out(life, add); },
                   [&](agent::RemoveEngine& remove) { carry_out(life, remove); },
                   [](agent::OpenTunnel&) {},
                   [&](agent::Exit&) { leave(life); }},
             action);
}

void AgentProcess::leave(const LifePtr& life) {
  if (life != life_) return;
  world_.trace("{} leaves", options_.name);
  if (life_->pipe) life_->pipe->agent_gone(true);
  end_life();
  world_.after(random_.ms(1'000, 60'000), [this] {
    if (!life_) start();
  });
}

void AgentProcess::dial(const LifePtr& life) {
  net::HeaderList headers;
  headers.add("Atelier-Protocol", fmt::format("{}", link::kProtocolVersion));
  headers.add("Atelier-Worker", options_.name);
  LinkEnd end;
  end.on_message = [this, life](const net::Message& message) {
    auto decoded = link::decode_gateway(message.view());
    if (!decoded)
      world_.broken(fmt::format("the gateway sent what the agent cannot read: {}", decoded.error().what));
    if (const auto* welcome = std::get_if<link::Welcome>(&*decoded)) life->link = welcome->link;
    if (const auto* ok = std::get_if<link::EndedOk>(&*decoded);
        ok != nullptr && life->restored.contains(RunKey{ok->job, ok->epoch}))
      SIM_PROBE("restored_run_handed_over");
    if (std::holds_alternative<link::Hint>(*decoded)) SIM_PROBE("hint_received");
    feed(life, agent::FromGateway{std::move(*decoded)});
  };
  end.on_down = [this, life](std::string why) {
    life->pipe.reset();
    feed(life, agent::LinkDown{std::move(why), false});
  };
  network_.dial(
      std::move(headers), std::move(end),
      [this, life](std::shared_ptr<Pipe> pipe) {
        if (life != life_) return pipe->agent_gone(true);
        life->pipe = std::move(pipe);
        feed(life, agent::LinkUp{1ULL << 40, world_.now().ms});
      },
      [this, life](unsigned status, std::string text) {
        const bool refused = status == 401 || status == 426;
        feed(life, agent::LinkDown{fmt::format("{} {}", status, text), refused});
      });
}

HttpRequest AgentProcess::request(const LifePtr& life, net::Method method, std::string target) const {
  HttpRequest request;
  request.method = method == net::Method::head ? net::Method::get : method;
  request.is_head = method == net::Method::head;
  request.target = std::move(target);
  request.headers.add("Atelier-Link", fmt::format("{}", life->link));
  return request;
}

// As src/agent/gateway_client.cpp reads the gateway's answers.
Error AgentProcess::error_of(const LifePtr& life, LinkId asked_on, const HttpAnswer& answer) const {
  std::string what = fmt::format("{}: {}", answer.status, answer.body);
  if (asked_on != life->link) return {Errc::unavailable, std::move(what)};
  if (answer.status == 404) return {Errc::not_found, std::move(what)};
  if (answer.status == 409) {
    const bool stale = what.find("stale_epoch") != std::string::npos;
    return {stale ? Errc::stale_epoch : Errc::unavailable, std::move(what)};
  }
  if (answer.status == 422) return {Errc::bad_hash, std::move(what)};
  if (answer.status == 507) return {Errc::disk_full, std::move(what)};
  return {Errc::unavailable, std::move(what)};
}

void AgentProcess::fetch(const LifePtr& life, agent::FetchJob action) {
  auto get =
      request(life, net::Method::get, fmt::format("/worker/prompt/{}/{}", action.key.job, action.key.epoch));
  network_.call(
      std::move(get), [this, life, action = std::move(action), asked = life->link](Result<HttpAnswer> got) {
        if (!got) return feed(life, agent::JobFetched{action.key, std::unexpected(got.error())});
        if (got->status != 200)
          return feed(life, agent::JobFetched{action.key, std::unexpected(error_of(life, asked, *got))});
        if (sha256(got->body) != action.lease.prompt.digest)
          world_.broken("a prompt came with another digest");
        fetch_inputs(life, action, std::move(got->body), 0);
      });
}

void AgentProcess::fetch_inputs(const LifePtr& life, agent::FetchJob action, std::string prompt,
                                std::size_t next) {
  if (next == action.lease.inputs.size()) return prepare(life, action, prompt);
  const Digest digest = action.lease.inputs[next].digest;
  auto get = request(life, net::Method::get,
                     fmt::format("/worker/input/{}/{}/{}", action.key.job, action.key.epoch, digest.hex()));
  network_.call(std::move(get), [this, life, action = std::move(action), prompt = std::move(prompt), next,
                                 digest, asked = life->link](Result<HttpAnswer> got) mutable {
    if (!got) return feed(life, agent::JobFetched{action.key, std::unexpected(got.error())});
    if (got->status != 200)
      return feed(life, agent::JobFetched{action.key, std::unexpected(error_of(life, asked, *got))});
    if (sha256(got->body) != digest) world_.broken("an input came with another digest");
    SIM_PROBE("input_fetched");
    fetch_inputs(life, std::move(action), std::move(prompt), next + 1);
  });
}

void AgentProcess::prepare(const LifePtr& life, const agent::FetchJob& action, const std::string& prompt) {
  const comfy::WorkerNames names = agent::places_of(action.lease.inputs).names;
  auto prepared = agent::prepare_prompt(prompt, *info_, names, action.lease, "agent");
  if (!prepared) world_.broken(fmt::format("prepare_prompt: {}", prepared.error().what));
  if (life == life_) life->runs[action.key].post_body = std::move(prepared->body);
  feed(life, agent::JobFetched{action.key, {}});
}

Result<link::CommitFile> AgentProcess::take_file(const FakeComfy& engine, RunData& run, RunKey key,
                                                 const std::string& node, std::uint32_t index,
                                                 std::string name, std::string folder, std::string place) {
  agent::UiFile one{std::move(place), std::move(name), std::move(folder), "output", true};
  ATELIER_TRY(agent::PlacedFile placed, agent::place_file(one, key));
  const std::string* bytes = engine.file(placed.path);
  if (bytes == nullptr) return fail(Errc::not_found, "the file is gone");
  run.paths.insert(placed.path);
  run.collected[{node, index}] = *bytes;
  link::CommitFile file = std::move(placed.named);
  file.size = bytes->size();
  file.digest = sha256(*bytes);
  return file;
}

void AgentProcess::collect(const LifePtr& life, const agent::Collect& action) {
  const auto found = life->runs.find(action.key);
  const FakeComfy* const comfy = engine(action.slot);
  if (life != life_ || found == life->runs.end() || comfy == nullptr) return;
  agent::Collected answer{action.key, action.node, std::vector<link::CommitFile>{}};
  for (const agent::UiFile& one : agent::files_of_ui(action.ui, action.key).value()) {
    auto file =
        take_file(*comfy, found->second, action.key, action.node,
                  static_cast<std::uint32_t>(answer.files->size()), one.filename, one.subfolder, one.place);
    if (!file) {
      answer.files = std::unexpected(file.error());
      break;
    }
    answer.files->push_back(std::move(*file));
  }
  feed(life, std::move(answer));
}

void AgentProcess::collect_rest(const LifePtr& life, const agent::CollectRest& action) {
  const auto found = life->runs.find(action.key);
  const FakeComfy* const comfy = engine(action.slot);
  if (life != life_ || found == life->runs.end() || comfy == nullptr) return;
  agent::Collected answer{action.key, "", std::vector<link::CommitFile>{}};
  for (const std::string& path : comfy->files_below(comfy::job_folder(action.key.job, action.key.epoch))) {
    if (found->second.paths.contains(path)) continue;
    const std::size_t slash = path.rfind('/');
    auto file =
        take_file(*comfy, found->second, action.key, "", static_cast<std::uint32_t>(answer.files->size()),
                  path.substr(slash + 1), path.substr(0, slash), fmt::format("/{}", answer.files->size()));
    if (file) answer.files->push_back(std::move(*file));
  }
  feed(life, std::move(answer));
}

void AgentProcess::upload(const LifePtr& life, agent::Upload action) {
  if (action.anew) return put(life, std::move(action), 0, 0);
  auto head = request(life, net::Method::head, output_target(action));
  network_.call(std::move(head),
                [this, life, action = std::move(action), asked = life->link](Result<HttpAnswer> got) {
                  if (life != life_ || !life->runs.contains(action.key)) return;
                  const auto done = [&](Result<void> result) {
                    feed(life, agent::Uploaded{action.key, action.node, action.index, std::move(result)});
                  };
                  if (!got) return done(std::unexpected(got.error()));
                  if (got->status == 409)
                    return put(life, action, action.size, 0);  // asks with a body: its text says why
                  if (got->status != 200) return done(std::unexpected(error_of(life, asked, *got)));
                  const std::uint64_t offset = offset_of(*got).value_or(0);
                  if (offset == action.size) {
                    SIM_PROBE("upload_known_digest");
                    return done({});
                  }
                  if (offset > 0) SIM_PROBE("upload_resumed");
                  put(life, action, offset, 0);
                });
}

void AgentProcess::put(const LifePtr& life, agent::Upload action, std::uint64_t offset, int tries) {
  auto request_put =
      request(life, net::Method::put, fmt::format("{}&offset={}", output_target(action), offset));
  const std::string& bytes = life->runs[action.key].collected[{action.node, action.index}];
  request_put.body = bytes.substr(std::min<std::size_t>(offset, bytes.size()));
  network_.call(std::move(request_put),
                [this, life, action = std::move(action), tries, asked = life->link](Result<HttpAnswer> got) {
                  if (life != life_ || !life->runs.contains(action.key)) return;
                  const auto done = [&](Result<void> result) {
                    feed(life, agent::Uploaded{action.key, action.node, action.index, std::move(result)});
                  };
                  if (!got) return done(std::unexpected(got.error()));
                  if (got->status == 204 || got->status == 200) return done({});
                  const auto at = offset_of(*got);
                  if (got->status != 416 || !at || tries >= kResumesMax)
                    return done(std::unexpected(error_of(life, asked, *got)));
                  if (*at == action.size) return done({});
                  put(life, action, *at, tries + 1);
                });
}

void AgentProcess::keep(const LifePtr& life, agent::Keep action) {
  const auto found = life->runs.find(action.run.key);
  if (life != life_ || found == life->runs.end()) return;
  const agent::RunKey key = action.run.key;
  kept_[key] = Kept{std::move(action.run), found->second};
}

void AgentProcess::publish(const LifePtr& life, agent::PublishObjectInfo action) {
  auto send = request(life, net::Method::put, "/worker/object_info/" + action.digest.hex());
  const FakeComfy* const comfy = engine(action.slot);
  if (comfy == nullptr) return;
  send.body = comfy->object_info();
  network_.call(std::move(send), [this, life, action, asked = life->link](Result<HttpAnswer> got) {
    Result<void> result;
    if (!got) {
      result = std::unexpected(got.error());
    } else if (got->status != 200 && got->status != 204) {
      result = std::unexpected(error_of(life, asked, *got));
    }
    feed(life, agent::ObjectInfoPublished{action.slot, action.digest, std::move(result)});
  });
}

}  // namespace atelier::sim
