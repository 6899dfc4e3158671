// The physical limit: a server that does nothing but send() every message of a publisher to every reader; of a
// publisher at /nobody to none.
// usage: send_loop PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ws.h"

typedef struct {
  int fd, open, publisher, unheard;
  bytes in;
} conn;

static conn *readers[32768];
static int count;

// --- the handshake: SHA-1 (RFC 3174) of the key and a constant, in base64
static uint32_t rol(uint32_t x, int n) { return x << n | x >> (32 - n); }

static void sha1(const u8 *text, size_t size, u8 digest[20]) {
  uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
  u8 m[128] = {0};
  memcpy(m, text, size);
  m[size] = 0x80;
  size_t blocks = size + 9 > 64 ? 2 : 1;
  for (int i = 0; i < 8; i++) m[blocks * 64 - 1 - i] = (u64)size * 8 >> (8 * i);
  for (size_t b = 0; b < blocks; b++) {
    uint32_t w[80];
    for (int i = 0; i < 16; i++) w[i] = m[b * 64 + i * 4] << 24 | m[b * 64 + i * 4 + 1] << 16 | m[b * 64 + i * 4 + 2] << 8 | m[b * 64 + i * 4 + 3];
    for (int i = 16; i < 80; i++) w[i] = rol(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = h[0], B = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 80; i++) {
      uint32_t f = i < 20 ? (B & c) | (~B & d) : i < 40 ? B ^ c ^ d : i < 60 ? (B & c) | (B & d) | (c & d) : B ^ c ^ d;
      uint32_t k = i < 20 ? 0x5A827999 : i < 40 ? 0x6ED9EBA1 : i < 60 ? 0x8F1BBCDC : 0xCA62C1D6;
      uint32_t t = rol(a, 5) + f + e + k + w[i];
      e = d, d = c, c = rol(B, 30), B = a, a = t;
    }
    h[0] += a, h[1] += B, h[2] += c, h[3] += d, h[4] += e;
  }
  for (int i = 0; i < 20; i++) digest[i] = h[i / 4] >> (24 - 8 * (i % 4));
}

static void accept_key(const char *key, size_t size, char out[29]) {
  static const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  u8 text[100], d[21] = {0};
  if (size > 60) size = 60;
  memcpy(text, key, size);
  memcpy(text + size, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
  sha1(text, size + 36, d);
  for (int i = 0, o = 0; i < 21; i += 3) {
    uint32_t v = d[i] << 16 | d[i + 1] << 8 | d[i + 2];
    for (int s = 18; s >= 0; s -= 6) out[o++] = digits[v >> s & 63];
  }
  out[27] = '=', out[28] = 0;
}

static int upgrade(conn *c) {
  u8 *end = memmem(c->in.at, c->in.size, "\r\n\r\n", 4);
  if (!end) return 0;
  *end = 0;
  char *key = strcasestr((char *)c->in.at, "sec-websocket-key: ");
  if (!key) return -1;
  key += 19;
  char answer[29], text[256];
  accept_key(key, strcspn(key, "\r"), answer);
  int n = snprintf(text, sizeof text, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", answer);
  c->unheard = !strncmp((char *)c->in.at, "GET /nobody", 11);
  c->publisher = c->unheard || !strncmp((char *)c->in.at, "GET /publish", 12);
  if (!c->publisher) readers[count++] = c;
  c->open = 1;
  drop(&c->in, end + 4 - c->in.at);
  return send(c->fd, text, n, MSG_NOSIGNAL) == n ? 0 : -1;
}

static void fan_out(frame *f, int heard_by) {
  static bytes out;
  out.size = 0;
  put_frame(&out, TEXT, f->payload, f->size, 0);
  for (int i = 0; i < heard_by; i++)
    if (send(readers[i]->fd, out.at, out.size, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)out.size && errno == EAGAIN) {
      fprintf(stderr, "a reader is too slow for this measurement\n");
      exit(1);
    }
}

static int readable(conn *c) {
  ssize_t n = recv(c->fd, reserve(&c->in, 65536), 65536, MSG_DONTWAIT);
  if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
  c->in.size += n;
  if (!c->open && upgrade(c)) return -1;
  size_t used = 0;
  frame f;
  while (c->open && get_frame(c->in.at + used, c->in.size - used, &f)) {
    if (f.opcode == TEXT && c->publisher) fan_out(&f, c->unheard ? 0 : count);
    used += f.whole;
  }
  drop(&c->in, used);
  return 0;
}

static void gone(conn *c) {
  for (int i = 0; i < count; i++)
    if (readers[i] == c) readers[i] = readers[--count];
  close(c->fd);
  free(c->in.at);
  free(c);
}

int main(int argc, char **argv) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, ep = epoll_create1(0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (void *)&where, sizeof where) || listen(listener, 4096)) return perror("listen"), 1;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
  epoll_ctl(ep, EPOLL_CTL_ADD, listener, &event);
  puts("ready");
  fflush(stdout);
  for (;;) {
    int n = epoll_wait(ep, events, 256, -1);
    for (int i = 0; i < n; i++) {
      conn *c = events[i].data.ptr;
      if (c) {
        if (readable(c)) gone(c);
        continue;
      }
      int fd = accept(listener, NULL, NULL);
      if (fd < 0) continue;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      c = calloc(1, sizeof *c);
      c->fd = fd;
      event = (struct epoll_event){.events = EPOLLIN, .data.ptr = c};
      epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event);
    }
  }
}
