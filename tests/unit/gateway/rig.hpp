// SPDX-License-Identifier: MIT
#pragma once
// The real gateway, workshop and stores over a memory journal and a temp folder on the virtual clock.
// Requests are made up and handed to Gateway::handle(); what a worker would report is posted by hand.

#include <doctest/doctest.h>

#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comfy/json.hpp"
#include "gateway/gateway.hpp"
#include "gateway/instructor/instructor_face.hpp"
#include "gateway/live/live_bus.hpp"
#include "journal/memory/memory_journal.hpp"
#include "unit/files/temp_folder.hpp"
#include "unit/gateway/run.hpp"
#include "workshop/workshop.hpp"

namespace atelier::gateway::test {

/// A few stock nodes with their interface facts, as an engine reports them.
extern const std::string_view kObjectInfo;
/// EmptyImage -> SaveImage; `salt` makes another body, `more` are further members: `,"number":7`.
[[nodiscard]] std::string prompt_body(std::string_view prompt_id, std::string_view client_id = "",
                                      std::string_view more = "", int width = 64);
/// A canonical UUID that ends in `n`.
[[nodiscard]] std::string uuid(int n);

/// A response with its body read.
struct Reply {
  unsigned status = 0;
  net::HeaderList headers;
  std::string body;
  [[nodiscard]] boost::json::value json() const;
};

/// A JSON string's characters, or the JSON text of anything else: for comparisons with std::string.
[[nodiscard]] std::string text(const boost::json::value& value);

struct RigOptions {
  workshop::WorkshopOptions workshop;
  ParticipantFaceOptions face;
  ApiAccessOptions api;
  InstructorFaceOptions instructor;
  files::QuotaLimits quota;
  std::string domain;
  bool with_catalog = true;
};

class Rig {
 public:
  explicit Rig(RigOptions options = {});
  ~Rig();
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  template <class T>
  T run(awaitable<T> work) {
    return test::run(runtime, std::move(work));
  }

  // -- the browser
  std::uint64_t listener_mark = 0;        // of the port that requests come through
  std::string peer_address = "10.0.0.7";  // of whoever sends them
  static const SeatTokens kTokens;
  static const std::string kInstructor;  // the instructor's token
  Reply send(net::Method method, std::string target, std::string body = {}, net::HeaderList headers = {},
             std::string host = "localhost:8188");
  Reply get(std::string target, net::HeaderList headers = {});
  Reply head(std::string target, net::HeaderList headers = {});
  Reply post(std::string target, std::string body = {}, net::HeaderList headers = {});
  /// Posts a prompt that must be accepted.
  JobId submit(int participant, std::string_view prompt_id, std::string_view client_id = "",
               std::string_view more = "");
  /// POST /upload/image (or another route) of one file.
  Reply upload(int participant, std::string_view name, std::string_view bytes,
               const std::vector<std::pair<std::string, std::string>>& fields = {},
               std::string_view route = "/upload/image");

  /// A command of the API as the instructor (or whose token is given), with a JSON body.
  Reply api(net::Method method, std::string target, std::string body = {}, std::string token = kInstructor,
            net::HeaderList headers = {});

  // -- the worker
  /// Joins with one slot that can run everything in kObjectInfo; waiting jobs are granted at once.
  void join(std::string name = "gpu-1");
  void started(JobId job);
  void computed(JobId job);
  /// The node's outputs stand in the participant's folder under these names; the executed frame follows.
  void commit(JobId job, const std::string& node, std::string ui);
  void ended(JobId job, core::Outcome outcome = core::Outcome::succeeded, std::string event = {},
             std::string report = {}, std::string meta = "null",
             core::EndReason reason = core::EndReason::finished);
  /// started, computed, ended.
  void finish(JobId job);
  /// A frame of the engine, with the run id as prompt_id wherever RUN stands in `json`.
  void event(JobId job, std::string type, std::string node, std::string json);
  void preview(JobId job, std::uint32_t kind, std::string bytes);
  void record(core::Event event, std::vector<journal::NewAttachment> attachments = {});

  [[nodiscard]] core::Attachment attach(std::string bytes, std::vector<journal::NewAttachment>& list);
  [[nodiscard]] const core::JobFacts& facts(JobId job) const;
  [[nodiscard]] std::string run_id(JobId job) const;

  VirtualRuntime runtime;
  files::TempFolder folder{files::TempFolder::Place::memory};
  journal::memory::MemoryStore store;
  std::unique_ptr<journal::Journal> journal;
  std::unique_ptr<files::Files> files;
  std::unique_ptr<workshop::Workshop> workshop;
  std::unique_ptr<workshop::Outlook> outlook;
  std::unique_ptr<Catalog> catalog;
  LiveBus live;
  std::unique_ptr<ParticipantFace> face;
  std::unique_ptr<InstructorFace> instructor;
  std::unique_ptr<PublicFace> everybody;
  std::unique_ptr<Gateway> gateway;

 private:
  std::uint64_t boots_ = 0;
};

}  // namespace atelier::gateway::test
