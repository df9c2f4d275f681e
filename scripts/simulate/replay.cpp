// Replays traces of SimGrid, with actions on groups of ranks and of dynamic schedules,
// which SimGrid's own replay lacks; prints the time and the busiest links.
// A group is FIRST STRIDE COUNT: ranks FIRST, FIRST + STRIDE, ...
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <simgrid/s4u.hpp>
#include <smpi/smpi.h>
#include <xbt/replay.hpp>

namespace s4u = simgrid::s4u;
using Action = simgrid::xbt::ReplayAction;

static char buffer[8]; // no data are copied in a replay
static const int SEGMENT = 1 << 17;  // bytes, of Open MPI's pipelined broadcast
static const int SMALL = 1 << 16;    // bytes; below it, a binomial tree

static long number(const Action& action, size_t i) { return std::stol(action.at(i)); }

struct Group {
  int first, stride, count, own;
  explicit Group(const Action& a) : first(number(a, 2)), stride(number(a, 3)), count(number(a, 4)) {
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    own = (rank - first) / stride;
  }
  int rank(int i) const { return first + (i + count) % count * stride; }
};

static std::map<int, s4u::Host*> hosts;          // of each rank
static std::map<const s4u::Link*, double> loads; // bytes

// Add a message to the links on its way. SMPI's own collectives are not counted.
static void count(int to, long bytes) {
  std::vector<s4u::Link*> links;
  double latency = 0;
  s4u::Host::current()->route_to(hosts.at(to), links, &latency);
  for (auto* link : links) loads[link] += bytes;
}

static void send(long bytes, int to, int tag = 1) {
  count(to, bytes);
  MPI_Send(buffer, bytes, MPI_BYTE, to, tag, MPI_COMM_WORLD);
}

static MPI_Request isend(long bytes, int to) {
  MPI_Request request;
  count(to, bytes);
  MPI_Isend(buffer, bytes, MPI_BYTE, to, 1, MPI_COMM_WORLD, &request);
  return request;
}

static void sent(long bytes, int to, int from) {
  MPI_Request requests[2]; // blocks of ranks may differ in size
  MPI_Irecv(buffer, 1 << 30, MPI_BYTE, from, 1, MPI_COMM_WORLD, &requests[0]);
  requests[1] = isend(bytes, to);
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
}

// bcast_in GROUP ROOT BYTES
static void broadcast(Action& action) {
  Group group(action);
  int root = number(action, 5), turn = (group.own - root + group.count) % group.count;
  long bytes = number(action, 6);
  if (bytes < SMALL) {
    int mask = 1;
    for (; mask < group.count && !(turn & mask); mask <<= 1) {}
    if (turn) MPI_Recv(buffer, bytes, MPI_BYTE, group.rank(turn - mask + root), 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    for (mask >>= 1; mask; mask >>= 1)
      if (turn + mask < group.count) send(bytes, group.rank(turn + mask + root));
    return;
  }
  // As Open MPI, one send at a time: SimGrid would share the link among several, and all
  // segments would arrive together, at the end.
  std::vector<MPI_Request> come;
  for (long left = bytes; left > 0; left -= SEGMENT) {
    int size = std::min<long>(left, SEGMENT);
    MPI_Request request = MPI_REQUEST_NULL;
    if (turn) MPI_Irecv(buffer, size, MPI_BYTE, group.rank(group.own - 1), 1, MPI_COMM_WORLD, &request);
    come.push_back(request);
  }
  for (size_t i = 0; i < come.size(); ++i) {
    int size = std::min<long>(bytes - i * SEGMENT, SEGMENT);
    if (turn) MPI_Wait(&come[i], MPI_STATUS_IGNORE);
    if (turn < group.count - 1) send(size, group.rank(group.own + 1));
  }
}

// exchange_in GROUP BYTES: a message to each other rank, shift after shift
static void exchange(Action& action) {
  Group group(action);
  for (int shift = 1; shift < group.count; ++shift)
    sent(number(action, 5), group.rank(group.own + shift), group.rank(group.own - shift));
}

// allgather_in GROUP BYTES: a ring; BYTES of each rank
static void allgather(Action& action) {
  Group group(action);
  for (int shift = 1; shift < group.count; ++shift)
    sent(number(action, 5), group.rank(group.own + 1), group.rank(group.own - 1));
}

// allreduce_in GROUP BYTES: recursive doubling
static void allreduce(Action& action) {
  Group group(action);
  for (int mask = 1; mask < group.count; mask <<= 1)
    if ((group.own ^ mask) < group.count) sent(number(action, 5), group.rank(group.own ^ mask), group.rank(group.own ^ mask));
}

// allreduce_ring_in GROUP BYTES: BYTES of each rank, around the ring twice
static void allreduce_ring(Action& action) {
  allgather(action);
  allgather(action);
}

// swap TO BYTES FROM BYTES: one message out, one in, if they are not empty
static void swap(Action& action) {
  MPI_Request requests[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  long out = number(action, 3), in = number(action, 5);
  if (in) MPI_Irecv(buffer, in, MPI_BYTE, number(action, 4), 1, MPI_COMM_WORLD, &requests[0]);
  if (out) requests[1] = isend(out, number(action, 2));
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
}

static const int NEXT = 2, END = 3; // tags of a server's answer

// fetch SERVER FLOPS: take tasks of FLOPS from a server until none is left
static void fetch(Action& action) {
  MPI_Status status;
  for (;;) {
    send(8, number(action, 2));
    MPI_Recv(buffer, 1 << 20, MPI_BYTE, number(action, 2), MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    if (status.MPI_TAG == END) return;
    smpi_execute_flops(number(action, 3));
  }
}

// serve CLIENTS TASKS FLOPS BYTES [PARENT CHUNK]: a counter; with a parent, it takes CHUNK
// tasks of it at a time
static void serve(Action& action) {
  long clients = number(action, 2), tasks = number(action, 3), bytes = number(action, 5);
  bool child = action.size() > 6, open = true;
  long chunk = child ? number(action, 7) : 0;
  if (child) tasks = 0;
  while (clients) {
    MPI_Status status;
    MPI_Recv(buffer, 8, MPI_BYTE, MPI_ANY_SOURCE, 1, MPI_COMM_WORLD, &status);
    smpi_execute_flops(number(action, 4));
    if (child && !tasks && open) {
      int parent = number(action, 6);
      MPI_Status answer;
      send(8, parent);
      MPI_Recv(buffer, 1 << 20, MPI_BYTE, parent, MPI_ANY_TAG, MPI_COMM_WORLD, &answer);
      open = answer.MPI_TAG != END;
      tasks = open ? chunk : 0;
    }
    clients -= !tasks;
    send(bytes, status.MPI_SOURCE, tasks ? NEXT : END);
    tasks -= tasks > 0;
  }
}

static void report() {
  std::vector<std::pair<double, const s4u::Link*>> links;
  for (auto& [link, bytes] : loads) links.emplace_back(bytes / link->get_bandwidth(), link);
  std::sort(links.rbegin(), links.rend());
  std::printf("time %.9g\n", s4u::Engine::get_clock());
  for (size_t i = 0; i < std::min<size_t>(3, links.size()); ++i)
    std::printf("link %s %.9g %.9g\n", links[i].second->get_cname(), loads[links[i].second], links[i].first);
  std::fflush(stdout);
  std::_Exit(0);
}

int main(int, char* argv[]) {
  auto* self = s4u::Actor::self();
  int rank = std::atoi(self->get_property("rank"));
  hosts[rank] = s4u::Host::current();
  if (rank == 0) {
    xbt_replay_action_register("bcast_in", broadcast);
    xbt_replay_action_register("exchange_in", exchange);
    xbt_replay_action_register("allgather_in", allgather);
    xbt_replay_action_register("allreduce_in", allreduce);
    xbt_replay_action_register("allreduce_ring_in", allreduce_ring);
    xbt_replay_action_register("swap", swap);
    xbt_replay_action_register("fetch", fetch);
    xbt_replay_action_register("serve", serve);
    s4u::Engine::on_simulation_end_cb(report);
  }
  smpi_replay_run(self->get_property("instance_id"), rank, 0, argv[1]);
}
