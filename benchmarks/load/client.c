// The load: many WebSocket readers and a few paced publishers in one epoll loop, so cheap that it is never the
// bottleneck. It counts events, checks that each reader's positions are contiguous, and measures latencies.
//
// Events are recognised by '@': a publisher puts "@NANOSECONDS " (CLOCK_MONOTONIC, the time the event was due) into the
// text of each. Messages are templates: $s session, $n request, $m round (another for each client), $t time, $i incarnation and $q seq of the
// reader's cursor. Commands come on stdin, one JSON object per line goes to stdout; see load.py.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ws.h"

enum state { DOWN, CONNECTING, UPGRADING, JOINING, READY };

typedef struct {
  int fd, session, publisher;
  enum state state;
  bytes in, out;
  u64 retry_at, joined_at, waiting;  // waiting: appends that were not answered yet
  int64_t seq;                       // the cursor; -1 before there is one
  char incarnation[40];
} conn;

static struct {
  int port, readers, publishers, sessions, at_once, again, generic, opcode_out;
  const char *path, *publish_path, *header, *join, *rejoin, *until, *script;
} opt = {.readers = 1, .sessions = 1, .at_once = 64, .path = "/", .publish_path = "/publish", .header = "", .join = "", .rejoin = "", .until = ""};

static conn *conns;
static int total, ready, dialling, ep;
static u64 began, first_lost;
static struct { u64 events, positions, bytes, frames, gaps, repeats, errors, lost, pings, published, answers, last_at; } got;
static char first_error[400];

// --- latencies: counted in buckets of 3 %, microseconds
typedef struct { u64 count, worst, at[64 * 32]; } histogram;
static histogram delivery, answer, joining;
static u64 measure_from;

static void observe(histogram *h, u64 ns) {
  u64 us = ns / 1000;
  int top = us < 32 ? 0 : 63 - __builtin_clzll(us) - 4;
  h->at[top * 32 + (us >> top)]++;
  h->count++;
  if (us > h->worst) h->worst = us;
}

static double quantile(histogram *h, double q) {
  u64 rank = q * h->count, seen = 0;
  for (int i = 0; i < 64 * 32; i++)
    if ((seen += h->at[i]) > rank) return (double)((u64)(i % 32) << (i / 32)) / 1000;
  return h->worst / 1000.0;
}

static void print_histogram(const char *name, histogram *h) {
  if (h->count) printf(",\"%s\":{\"count\":%lu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}", name, h->count, quantile(h, 0.5), quantile(h, 0.99), h->worst / 1000.0);
}

// --- out: what the kernel does not take now is sent in a later turn of `go`
static void flush(conn *c) {
  ssize_t n = send(c->fd, c->out.at, c->out.size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n > 0) drop(&c->out, n);
}

static const char **runs;  // of the sessions, in their order

static void put_template(conn *c, const char *text, int session, u64 round, u64 request, u64 due) {
  static bytes b;
  b.size = 0;
  for (; *text; text++) {
    char *p = (char *)reserve(&b, 64);
    if (*text != '$') {
      *p = *text;
      b.size++;
      continue;
    }
    switch (*++text) {
      case 's': b.size += sprintf(p, "%d", session); break;
      case 'n': b.size += sprintf(p, "%lu", request); break;
      case 'r': b.size += sprintf(p, "%.60s", runs[session]); break;
      case 'm': b.size += sprintf(p, "%lx-%lu", began >> 20 & 0xffffff, round); break;
      case 't': b.size += sprintf(p, "@%lu ", due); break;
      case 'i': b.size += sprintf(p, "%s", c->incarnation); break;
      case 'q': b.size += sprintf(p, "%ld", c->seq < 0 ? 0 : c->seq); break;
    }
  }
  put_frame(&c->out, TEXT, b.at, b.size, 1);
}

// --- connecting
static void lose(conn *c) {
  if (c->state == READY) ready--, got.lost++;
  else if (c->state != DOWN) dialling--;
  if (!first_lost) first_lost = now_ns();
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
  c->in.size = c->out.size = 0;
  c->state = DOWN;
  c->retry_at = opt.again ? now_ns() + 20000000ull + rand() % 80000000ull : ~0ull;
}

static void dial(conn *c) {
  static unsigned number;
  int one = 1;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  // several source addresses, or runs one after another use up the ports
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + number++ % 16)};
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(opt.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  bind(c->fd, (void *)&from, sizeof from);
  c->state = CONNECTING;
  dialling++;
  if (connect(c->fd, (void *)&to, sizeof to) && errno != EINPROGRESS) return lose(c);
  struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
  epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &event);
}

static void connected(conn *c) {
  char text[9000];
  int n = snprintf(text, sizeof text,
                   "GET %s HTTP/1.1\r\nHost: localhost:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n%s"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                   c->publisher ? opt.publish_path : opt.path, opt.port, opt.header);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &event);
  c->state = UPGRADING;
  if (send(c->fd, text, n, MSG_NOSIGNAL) != n) lose(c);
}

static void became_ready(conn *c) {
  c->state = READY;
  dialling--;
  if (c->joined_at && !c->publisher) observe(&joining, now_ns() - c->joined_at);
  if (++ready < total) return;
  u64 at = now_ns();
  printf("{\"ready\":%d,\"seconds\":%.6f,\"since_lost\":%.6f,\"events\":%lu,\"positions\":%lu,\"bytes\":%lu,\"gaps\":%lu,\"repeats\":%lu,\"errors\":%lu", ready, (at - began) / 1e9, first_lost ? (at - first_lost) / 1e9 : 0, got.events, got.positions, got.bytes, got.gaps, got.repeats, got.errors);
  print_histogram("join", &joining);
  printf("}\n");
  fflush(stdout);
  first_lost = 0;
}

static int64_t number_after(const u8 *text, size_t size, const char *name) {
  const u8 *p = memmem(text, size < 400 ? size : 400, name, strlen(name));
  return p ? atoll((const char *)p + strlen(name)) : -1;
}

static void upgraded(conn *c) {
  c->state = JOINING;
  const char *text = c->seq >= 0 && *opt.rejoin ? opt.rejoin : opt.join;
  c->joined_at = now_ns();
  if (c->seq < 0) c->seq = number_after((const u8 *)text, strlen(text), "\"seq\":");
  if (*text && (!c->publisher || opt.generic)) {
    put_template(c, text, c->session, 0, 0, 0);
    flush(c);
  }
  if (!*opt.until || (c->publisher && !opt.generic)) became_ready(c);
}

// --- in
static void complain(const char *text, size_t size) {
  if (got.errors++) return;
  snprintf(first_error, sizeof first_error, "%.*s", (int)(size < 300 ? size : 300), text);
  for (char *p = first_error; *p; p++)
    if (*p == '"' || *p == '\\' || *p < ' ') *p = '\'';
}

static void keep_cursor(conn *c, const u8 *p, size_t n) {
  if (!memcmp(p, "{\"op\":\"events\"", 14) || !memcmp(p, "{\"op\":\"skip\"", 12)) {
    int64_t from = number_after(p, n, "\"from\":"), to = number_after(p, n, "\"to\":");
    if (c->seq >= 0 && from > c->seq + 1) got.gaps++;
    if (to <= c->seq) got.repeats++;
    else got.positions += to - (c->seq < from - 1 ? from - 1 : c->seq);
    c->seq = to;
  } else if (!memcmp(p, "{\"op\":\"snapshot\"", 16) || !memcmp(p, "{\"op\":\"live\"", 12)) {
    const u8 *life = memmem(p, n < 400 ? n : 400, "\"incarnation\":\"", 15);
    if (life) sscanf((const char *)life + 15, "%39[^\"]", c->incarnation);
    c->seq = number_after(p, n, "\"seq\":");
  } else if (!memcmp(p, "{\"op\":\"ok\"", 10) && c->publisher) {
    u64 asked = number_after(p, n, "\"id\":");  // the request's id is its time in microseconds
    if (asked * 1000 >= measure_from) observe(&answer, now_ns() - asked * 1000);
    got.answers++;
    if (c->waiting) c->waiting--;
  } else if (!memcmp(p, "{\"op\":\"error\"", 13)) {
    complain((const char *)p, n);
    if (c->waiting) c->waiting--;
  }
}

static void count_events(conn *c, const u8 *p, size_t n, u64 at) {
  const u8 *end = p + n;
  if (c->publisher) return;
  got.frames++;
  while ((p = memchr(p, '@', end - p))) {
    u64 due = 0;
    for (p++; p < end && *p >= '0' && *p <= '9'; p++) due = due * 10 + (*p - '0');
    got.events++;
    if (due >= measure_from) observe(&delivery, at - due);
  }
  got.last_at = at;
}

static void message(conn *c, frame *f, u64 at) {
  if (opt.generic && f->size == 1 && *f->payload == '2') {  // engine.io asks whether we live
    put_frame(&c->out, TEXT, "3", 1, 1);
    return flush(c);
  }
  if (!opt.generic && f->size > 16) keep_cursor(c, f->payload, f->size);
  if (c->state == JOINING && *opt.until && memmem(f->payload, f->size < 200 ? f->size : 200, opt.until, strlen(opt.until))) became_ready(c);
  if (f->size > 20) count_events(c, f->payload, f->size, at);
}

static void readable(conn *c) {
  static u8 buffer[1 << 22];
  if (c->in.size) memcpy(buffer, c->in.at, c->in.size);
  ssize_t r = recv(c->fd, buffer + c->in.size, sizeof buffer - c->in.size - 1, MSG_DONTWAIT);
  if (r <= 0) {
    if (r < 0 && errno == EAGAIN) return;
    return lose(c);
  }
  got.bytes += r;
  size_t n = c->in.size + r, used = 0;
  u64 at = now_ns();
  if (c->state == UPGRADING) {
    buffer[n] = 0;
    u8 *end = memmem(buffer, n, "\r\n\r\n", 4);
    if (end && !memmem(buffer, 20, " 101 ", 5)) {
      complain((char *)buffer, strcspn((char *)buffer, "\r"));
      return lose(c);
    }
    if (end) {
      used = end + 4 - buffer;
      upgraded(c);
    }
  }
  frame f;
  while (c->state >= JOINING && get_frame(buffer + used, n - used, &f)) {
    if (f.opcode == TEXT) message(c, &f, at);
    else if (f.opcode == PING) got.pings++, put_frame(&c->out, PONG, f.payload, f.size, 1), flush(c);
    else if (f.opcode == CLOSE) return lose(c);
    used += f.whole;
  }
  c->in.size = 0;
  if (used < n) {
    memcpy(reserve(&c->in, n - used), buffer + used, n - used);
    c->in.size = n - used;
  } else if (c->in.room) {
    free(c->in.at);
    c->in = (bytes){0};
  }
}

static void turn(int wait_ms) {
  static struct epoll_event events[1024];
  static int next;
  int n = epoll_wait(ep, events, 1024, wait_ms);
  for (int i = 0; i < n; i++) {
    conn *c = events[i].data.ptr;
    if (!c || c->fd < 0) continue;
    if (c->state == CONNECTING) connected(c);
    else readable(c);
  }
  if (ready == total) return;
  u64 at = now_ns();
  for (int i = 0; i < total && dialling < opt.at_once; i++, next = (next + 1) % total) {
    conn *c = &conns[next];
    if (c->state == DOWN && c->retry_at <= at) dial(c);
  }
}

// --- publishing: sessions take turns; each goes through the lines of the script again and again
static const char *lines[4096];
static int line_count, line_events[4096];
static struct { u64 sent; } *progress;

static void read_script(void) {
  FILE *file = fopen(opt.script, "r");
  size_t room;
  for (char *line = NULL; file && line_count < 4096 && getline(&line, &room, file) > 0; line = NULL) {
    line[strcspn(line, "\n")] = 0;
    if (*line == '#') {  // the ids of the sessions' runs
      runs = calloc(opt.sessions, sizeof *runs);
      char *id = strtok(line + 1, " ");
      for (int i = 0; id && i < opt.sessions; i++, id = strtok(NULL, " ")) runs[i] = id;
      continue;
    }
    for (char *p = line; (p = strstr(p, "$t")); p++) line_events[line_count]++;
    lines[line_count++] = line;
  }
}

static int publish(int session, u64 due) {
  conn *c = &conns[opt.readers + session % opt.publishers];
  u64 sent = progress[session].sent++;
  int line = sent % line_count;
  put_template(c, lines[line], session, sent / line_count, due / 1000, due);
  if (!opt.generic) c->waiting++;
  got.published += line_events[line];
  return line_events[line];
}

// go RATE SECONDS WINDOW BURST WARM: RATE messages a second in bursts, never more than WINDOW (unless 0) of a publisher
// unanswered; at RATE 0 as many as WINDOW allows
static void go(double rate, double seconds, int window, int burst, double warm) {
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  memset(&got, 0, sizeof got);
  memset(&delivery, 0, sizeof delivery);
  memset(&answer, 0, sizeof answer);
  u64 start = now_ns(), end = start + seconds * 1e9, sent = 0, session = 0, worst_lag = 0;
  u64 gap_ns = rate > 0 ? 1e9 * burst / rate : 0;
  measure_from = start + warm * 1e9;
  for (u64 at = start; at < end; at = now_ns()) {
    if (rate > 0) {
      for (u64 due = start + sent / burst * gap_ns; due <= at; due = start + sent / burst * gap_ns) {
        if (window && conns[opt.readers + session % opt.sessions % opt.publishers].waiting >= (u64)window) break;
        if (at - due > worst_lag) worst_lag = at - due;
        for (int i = 0; i < burst; i++, sent++) publish(session++ % opt.sessions, due);
      }
    } else
      for (int i = 0; i < opt.sessions; i++) {
        conn *c = &conns[opt.readers + i % opt.publishers];
        if (c->waiting < (u64)window && c->state == READY) publish(i, at), sent++;
      }
    for (int i = opt.readers; i < total; i++)
      if (conns[i].out.size && conns[i].state == READY) flush(&conns[i]);
    turn(gap_ns > 4000000 || window ? 1 : 0);
    if (gap_ns > 300000) usleep(50);
  }
  u64 want = got.published * (opt.readers / opt.sessions), stopped = now_ns();
  for (u64 last = got.last_at; got.events < want && now_ns() - (last > stopped ? last : stopped) < 3000000000ull; last = got.last_at) turn(10);
  getrusage(RUSAGE_SELF, &after);
  double cpu = after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec + (after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec) / 1e6;
  printf("{\"messages\":%lu,\"published\":%lu,\"wanted\":%lu,\"delivered\":%lu,\"seconds\":%.6f,\"drain_s\":%.6f,\"frames\":%lu,\"bytes\":%lu,\"answers\":%lu,\"gaps\":%lu,\"repeats\":%lu,\"lost\":%lu,\"errors\":%lu,\"first_error\":\"%s\",\"lag_ms\":%.3f,\"cpu_s\":%.3f",
         sent, got.published, want, got.events, ((got.last_at > start ? got.last_at : stopped) - start) / 1e9, got.last_at > end ? (got.last_at - end) / 1e9 : 0, got.frames, got.bytes, got.answers, got.gaps, got.repeats, got.lost, got.errors,
         first_error, worst_lag / 1e6, cpu);
  print_histogram("delivery", &delivery);
  print_histogram("answer", &answer);
  printf("}\n");
  fflush(stdout);
}

static void command(char *line) {
  double rate, seconds, warm;
  int window, burst;
  if (sscanf(line, "go %lf %lf %d %d %lf", &rate, &seconds, &window, &burst, &warm) == 5) return go(rate, seconds, window, burst, warm);
  if (!strcmp(line, "count")) {
    for (u64 until = now_ns() + 200000000ull; now_ns() < until;) turn(20);  // what is on its way counts
    printf("{\"ready\":%d,\"events\":%lu,\"bytes\":%lu,\"gaps\":%lu,\"repeats\":%lu,\"errors\":%lu,\"lost\":%lu,\"pings\":%lu}\n", ready, got.events, got.bytes, got.gaps, got.repeats, got.errors, got.lost, got.pings);
    fflush(stdout);
  } else exit(0);
}

static void options(int argc, char **argv) {
  for (int o; (o = getopt(argc, argv, "p:u:U:H:j:J:w:f:k:P:s:c:Rg")) > 0;) switch (o) {
      case 'p': opt.port = atoi(optarg); break;
      case 'u': opt.path = optarg; break;
      case 'U': opt.publish_path = optarg; break;
      case 'H': opt.header = optarg; break;
      case 'j': opt.join = optarg; break;
      case 'J': opt.rejoin = optarg; break;
      case 'w': opt.until = optarg; break;
      case 'f': opt.script = optarg; break;
      case 'k': opt.readers = atoi(optarg); break;
      case 'P': opt.publishers = atoi(optarg); break;
      case 's': opt.sessions = atoi(optarg); break;
      case 'c': opt.at_once = atoi(optarg); break;
      case 'R': opt.again = 1; break;
      case 'g': opt.generic = 1; break;
      default: exit(2);
    }
}

int main(int argc, char **argv) {
  options(argc, argv);
  if (opt.script) read_script();
  total = opt.readers + opt.publishers;
  conns = calloc(total, sizeof *conns);
  progress = calloc(opt.sessions, sizeof *progress);
  ep = epoll_create1(0);
  began = now_ns();
  for (int i = 0; i < total; i++) conns[i] = (conn){.fd = -1, .session = i % opt.sessions, .publisher = i >= opt.readers, .seq = -1};
  fcntl(0, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(ep, EPOLL_CTL_ADD, 0, &event);
  static char text[4096];
  size_t size = 0;
  for (;;) {
    turn(ready == total ? 100 : 5);
    ssize_t n = read(0, text + size, sizeof text - size - 1);
    if (n == 0) return 0;  // whoever started us is gone
    if (n > 0) text[size += n] = 0;
    for (char *end; (end = memchr(text, '\n', size)); size -= end + 1 - text, memmove(text, end + 1, size)) {
      *end = 0;
      command(text);
    }
  }
}
