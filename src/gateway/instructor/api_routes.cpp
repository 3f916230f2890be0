// SPDX-License-Identifier: MIT
// The table of the API's routes. Whoever adds one adds a line here, and the document has it.
#include <array>

#include "gateway/instructor/instructor_impl.hpp"

namespace atelier::gateway {

std::span<const ApiRoute> api_routes() {
  using enum net::Method;
  using enum Role;
  using Face = InstructorFace::Impl;
  static constexpr std::array kRoutes{
      ApiRoute{get, "/queue", participant, "get_queue", "The queue: how it is set, and its jobs in order.",
               "queue_limit", "", "QueueAnswer", "400", &Face::get_queue},
      ApiRoute{patch, "/queue", instructor, "change_queue",
               "Sets the mode, pauses after the running jobs, holds everybody's jobs.", "", "QueueChange",
               "QueueDone", "", &Face::patch_queue},
      ApiRoute{get, "/jobs", participant, "list_jobs", "Jobs that wait, run or have ended, the newest first.",
               "state participant limit cursor", "", "JobsAnswer", "400", &Face::get_jobs},
      ApiRoute{post, "/jobs/actions", participant, "act_on_jobs",
               "One command for many jobs, with a result for each.", "", "JobActions", "JobActionsDone", "",
               &Face::post_actions},
      ApiRoute{get, "/jobs/{job}", participant, "get_job", "One job.", "", "", "JobAnswer", "404",
               &Face::get_job},
      ApiRoute{patch, "/jobs/{job}", instructor, "change_job",
               "Holds or releases a waiting job, sets its level, its worker and its tags.", "", "JobChange",
               "JobDone", "404 409", &Face::patch_job},
      ApiRoute{post, "/jobs/{job}/move", participant, "move_job",
               "Moves a waiting job: the instructor through the whole queue, a participant among their own.",
               "", "JobMove", "JobDone", "404 409", &Face::post_move},
      ApiRoute{delete_, "/jobs/{job}/move", instructor, "undo_move",
               "Takes a job out of the instructor's list: it gets the place that it would have.", "", "",
               "JobDone", "404 409", &Face::delete_move},
      ApiRoute{post, "/jobs/{job}/cancel", participant, "cancel_job",
               "Cancels a job: a waiting one is held first, for as long as this can be undone.", "",
               "JobCancel", "JobDone", "404 409", &Face::post_cancel},
      ApiRoute{delete_, "/jobs/{job}/cancel", participant, "undo_cancel",
               "Takes back the cancel of a job that is held for it.", "", "", "JobDone", "404 409",
               &Face::delete_cancel},
      ApiRoute{get, "/participants", participant, "list_participants", "All participants.", "", "",
               "ParticipantsAnswer", "", &Face::get_participants},
      ApiRoute{get, "/participants/{participant}", participant, "get_participant", "One participant.", "", "",
               "ParticipantAnswer", "404", &Face::get_participant},
      ApiRoute{patch, "/participants/{participant}", instructor, "change_participant",
               "Holds or releases a participant, sets their caps, weight, allowance and level.", "",
               "ParticipantChange", "ParticipantDone", "404", &Face::patch_participant},
      ApiRoute{get, "/participants/{participant}/worker", participant, "get_worker_choice",
               "The worker that a participant's jobs wait for, and which ones there are.", "", "",
               "WorkerChoiceAnswer", "404", &Face::get_worker_choice},
      ApiRoute{patch, "/participants/{participant}/worker", participant, "choose_worker",
               "Gives a participant's jobs a worker of their own, or any; of participants only if they may "
               "choose.",
               "", "WorkerChoice", "ParticipantDone", "404 409", &Face::patch_worker_choice},
      ApiRoute{get, "/workers", instructor, "list_workers", "All workers that have ever joined.", "", "",
               "WorkersAnswer", "", &Face::get_workers},
      ApiRoute{get, "/workers/{worker}", instructor, "get_worker", "One worker.", "", "", "WorkerAnswer",
               "404", &Face::get_worker},
      ApiRoute{patch, "/workers/{worker}", instructor, "change_worker",
               "Drains or pauses a worker, sets its tags.", "", "WorkerChange", "WorkerDone", "404",
               &Face::patch_worker},
      ApiRoute{get, "/workers/{worker}/telemetry", instructor, "get_telemetry",
               "What a worker said last of its GPUs, its disk, its clock and its ComfyUIs.", "", "",
               "TelemetryAnswer", "404", &Face::get_telemetry},
      ApiRoute{get, "/workers/{worker}/log", instructor, "get_engine_log",
               "The last lines that the ComfyUIs printed which the worker started itself.", "", "",
               "EngineLogAnswer", "404", &Face::get_engine_log},
      ApiRoute{post, "/workers/{worker}/actions", instructor, "act_on_worker",
               "Starts the ComfyUI of a slot again, has it unload its models, adds a slot, removes one; "
               "revokes the worker's key.",
               "", "WorkerAction", "WorkerActionAsked", "404 409", &Face::post_worker_action},
      ApiRoute{get, "/enrolments", instructor, "list_enrolments",
               "Tokens by which workers come to have keys of their own: what became of each, and alarms.", "",
               "", "EnrolmentsAnswer", "", &Face::get_enrolments},
      ApiRoute{post, "/enrolments", instructor, "make_enrolment",
               "A token for one worker, and the line that makes a machine that worker. It is shown once.", "",
               "EnrolmentWanted", "EnrolmentMade", "409", &Face::post_enrolment},
      ApiRoute{delete_, "/enrolments/{enrolment}", instructor, "revoke_enrolment",
               "Makes a token void that nobody has used yet.", "", "", "EnrolmentDone", "404 409",
               &Face::delete_enrolment},
      ApiRoute{post, "/tickets", participant, "make_ticket",
               "A ticket for one use within a minute, for what cannot bring a header.", "", "TicketWanted",
               "Ticket", "404 409 429", &Face::post_ticket},
      ApiRoute{get, "/events", participant, "events",
               "A WebSocket: a snapshot, then what changes. Each text message is an EventMessage.",
               "since ticket", "", "", "400", &Face::get_events},
  };
  return kRoutes;
}

}  // namespace atelier::gateway
