// WebSocket framing (RFC 6455) for the load client and the send() loop: only what a benchmark needs.
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef uint64_t u64;
typedef uint8_t u8;

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10 };

typedef struct {
  u8 *at;
  size_t size, room;
} bytes;

static u8 *reserve(bytes *b, size_t more) {
  if (b->size + more > b->room) {
    b->room = (b->size + more) * 2;
    b->at = realloc(b->at, b->room);
    if (!b->at) abort();
  }
  return b->at + b->size;
}

static void drop(bytes *b, size_t count) {
  b->size -= count;
  if (b->size) memmove(b->at, b->at + count, b->size);
}

static inline u64 now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

// A final frame. Clients mask (with zeros: the server unmasks all the same), servers do not.
static void put_frame(bytes *out, int opcode, const void *payload, size_t size, int masked) {
  u8 *p = reserve(out, size + 14);
  size_t n = 0;
  p[n++] = 0x80 | opcode;
  u8 mask = masked ? 0x80 : 0;
  if (size < 126) {
    p[n++] = mask | size;
  } else if (size < 65536) {
    p[n++] = mask | 126;
    p[n++] = size >> 8;
    p[n++] = size;
  } else {
    p[n++] = mask | 127;
    for (int shift = 56; shift >= 0; shift -= 8) p[n++] = (u64)size >> shift;
  }
  if (masked) {
    memset(p + n, 0, 4);
    n += 4;
  }
  memcpy(p + n, payload, size);
  out->size += n + size;
}

typedef struct {
  int opcode;
  u8 *payload;
  size_t size, whole;  // bytes of the payload, and of the frame with its head
} frame;

// The first frame of a buffer, unmasked in place; 0 when it is not complete yet.
static int get_frame(u8 *p, size_t n, frame *f) {
  if (n < 2) return 0;
  u64 size = p[1] & 127;
  size_t head = 2;
  if (size == 126) {
    if (n < 4) return 0;
    size = p[2] << 8 | p[3];
    head = 4;
  } else if (size == 127) {
    if (n < 10) return 0;
    size = 0;
    for (int i = 2; i < 10; i++) size = size << 8 | p[i];
    head = 10;
  }
  int masked = p[1] & 128;
  if (masked) head += 4;
  if (n < head + size) return 0;
  *f = (frame){p[0] & 15, p + head, size, head + size};
  if (masked)
    for (u64 i = 0; i < size; i++) f->payload[i] ^= p[head - 4 + (i & 3)];
  return 1;
}
