/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cut_disk.c - a disk with a write cache that forgets when the power goes.
 *
 *	cut_disk SOCKET FILE SEED
 *
 * Serves FILE over the network block device protocol (NBD, fixed newstyle) to one
 * client, a QEMU. A client that goes away without a goodbye is a power cut: of what was
 * written since the last flush, each sector is kept or has its old content again, as
 * SEED has it; how many are kept, from none to all, is SEED's too. So writes are lost,
 * torn and out of order, as a disk may have it that says the truth about its flushes.
 * Says on stdout what it did, in one line, and ends with 0.
 */
#include "journal/base/cleanup.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SECTOR   512
#define MOST     (32u << 20) /* bytes in a request, as the protocol has it */
#define MAGIC    UINT64_C(0x4e42444d41474943)
#define OPTION   UINT64_C(0x49484156454f5054)
#define REPLY    UINT64_C(0x0003e889045565a9)
#define REQUEST  0x25609513u
#define ANSWER   0x67446698u
#define UNKNOWN  0x80000001u
#define FEATURES (1 | 4) /* there are flags; flush is known */

enum { OPT_EXPORT_NAME = 1, OPT_ABORT = 2, OPT_GO = 7 };
enum { REP_ACK = 1, REP_INFO = 3 };
enum { CMD_READ, CMD_WRITE, CMD_GOODBYE, CMD_FLUSH };

struct option {
	uint64_t magic;
	uint32_t kind, len;
} __attribute__((packed));

struct option_reply {
	uint64_t magic;
	uint32_t kind, type, len;
} __attribute__((packed));

struct export_info {
	uint16_t type;
	uint64_t size;
	uint16_t flags;
} __attribute__((packed));

struct request {
	uint32_t magic;
	uint16_t flags, type;
	uint64_t handle, offset;
	uint32_t len;
} __attribute__((packed));

struct answer {
	uint32_t magic, error;
	uint64_t handle;
} __attribute__((packed));

/* What a write replaced, newest first. */
struct old {
	struct old *next;
	uint64_t offset;
	size_t len;
	unsigned char data[];
};

struct disk {
	int fd, client;
	uint64_t size, seed;
	struct old *old;
	unsigned long writes, flushes;
};

static bool take(int fd, void *buf, size_t len)
{
	return recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

static bool give(int fd, const void *buf, size_t len)
{
	return send(fd, buf, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* ---- until the client has chosen -------------------------------------------------- */

static bool reply(const struct disk *d, uint32_t kind, uint32_t type, const void *data, uint32_t len)
{
	const struct option_reply r = { htobe64(REPLY), htobe32(kind), htobe32(type), htobe32(len) };

	return give(d->client, &r, sizeof(r)) && (len == 0 || give(d->client, data, len));
}

static bool forget_input(const struct disk *d, uint32_t len)
{
	char c;

	while (len-- > 0)
		if (!take(d->client, &c, 1))
			return false;
	return true;
}

/* true: the disk is chosen, requests follow. */
static bool choose(const struct disk *d)
{
	const struct export_info info = { 0, htobe64(d->size), htobe16(FEATURES) };
	struct option o;

	while (take(d->client, &o, sizeof(o)) && o.magic == htobe64(OPTION)) {
		uint32_t kind = be32toh(o.kind);

		if (!forget_input(d, be32toh(o.len)))
			return false;
		if (kind == OPT_EXPORT_NAME)
			return give(d->client, &info.size, sizeof(info) - sizeof(info.type));
		if (kind == OPT_GO)
			return reply(d, kind, REP_INFO, &info, sizeof(info)) &&
			       reply(d, kind, REP_ACK, NULL, 0);
		if (!reply(d, kind, kind == OPT_ABORT ? REP_ACK : UNKNOWN, NULL, 0))
			return false;
	}
	return false;
}

static bool greet(const struct disk *d)
{
	const struct {
		uint64_t magic, option;
		uint16_t flags;
	} __attribute__((packed)) hello = { htobe64(MAGIC), htobe64(OPTION), htobe16(1 | 2) };
	uint32_t flags;

	return give(d->client, &hello, sizeof(hello)) && take(d->client, &flags, sizeof(flags)) &&
	       choose(d);
}

/* ---- requests --------------------------------------------------------------------- */

static void flush(struct disk *d)
{
	while (d->old) {
		struct old *next = d->old->next;

		free(d->old);
		d->old = next;
	}
	d->flushes++;
}

static bool change(struct disk *d, const void *data, uint64_t offset, size_t len)
{
	struct old *o = malloc(sizeof(*o) + len);

	if (!o)
		return false;
	*o = (struct old){ .next = d->old, .offset = offset, .len = len };
	d->old = o;
	d->writes++;
	return pread(d->fd, o->data, len, (off_t)offset) == (ssize_t)len &&
	       pwrite(d->fd, data, len, (off_t)offset) == (ssize_t)len;
}

static bool answer(const struct disk *d, const struct request *r, bool good)
{
	const struct answer a = { htobe32(ANSWER), htobe32(good ? 0 : EIO), r->handle };

	return give(d->client, &a, sizeof(a));
}

/* false: the client is gone, or speaks another language. */
static bool serve(struct disk *d, const struct request *r)
{
	uint64_t offset = be64toh(r->offset);
	uint32_t len = be32toh(r->len);
	auto_free unsigned char *data = malloc(len ? len : 1);
	bool inside = offset <= d->size && len <= d->size - offset;

	if (r->magic != htobe32(REQUEST) || len > MOST || !data)
		return false;
	switch (be16toh(r->type)) {
	case CMD_READ:
		inside = inside && pread(d->fd, data, len, (off_t)offset) == (ssize_t)len;
		return answer(d, r, inside) && (!inside || give(d->client, data, len));
	case CMD_WRITE:
		return take(d->client, data, len) &&
		       answer(d, r, inside && change(d, data, offset, len));
	case CMD_FLUSH:
		flush(d);
		return answer(d, r, true);
	default:
		return answer(d, r, false);
	}
}

/* ---- the cut ---------------------------------------------------------------------- */

/* A number from 0 to 99, by chance, but always the same one for this sector. */
static unsigned int lot(const struct disk *d, uint64_t sector)
{
	uint64_t x = d->seed * UINT64_C(0x9e3779b97f4a7c15) + sector;

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (unsigned int)((x ^ (x >> 31)) % 100);
}

/* Newest first: what is left in a sector is what it had at the last flush. */
static int cut(struct disk *d)
{
	unsigned int kept = lot(d, UINT64_MAX) / 25 * 33; /* 0, 33, 66 or 99 of 100 */
	unsigned long lost = 0;

	for (const struct old *o = d->old; o; o = o->next)
		for (size_t at = 0; at < o->len; at += SECTOR) {
			size_t n = o->len - at < SECTOR ? o->len - at : SECTOR;

			if (lot(d, (o->offset + at) / SECTOR) < kept)
				continue;
			if (pwrite(d->fd, o->data + at, n, (off_t)(o->offset + at)) != (ssize_t)n)
				return 1;
			lost++;
		}
	(void)printf("cut after %lu writes and %lu flushes: %lu sectors lost, %u of 100 kept\n",
		     d->writes, d->flushes, lost, kept);
	return 0;
}

static int talk(struct disk *d)
{
	struct request r;

	if (!greet(d))
		return 1;
	while (take(d->client, &r, sizeof(r))) {
		if (r.type == htobe16(CMD_GOODBYE)) {
			(void)printf("switched off after %lu writes\n", d->writes);
			return 0;
		}
		if (!serve(d, &r))
			break;
	}
	return cut(d);
}

static int wait_for_client(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(to.sun_path))
		return -1;
	(void)strcpy(to.sun_path, path);
	(void)unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0 || listen(fd, 1) < 0)
		return -1;
	return accept4(fd, NULL, NULL, SOCK_CLOEXEC);
}

int main(int argc, char **argv)
{
	auto_fd int fd = argc == 4 ? open(argv[2], O_RDWR | O_CLOEXEC) : -1;
	auto_fd int client = fd >= 0 ? wait_for_client(argv[1]) : -1;
	struct disk d = { .fd = fd, .client = client };
	struct stat st;
	int rc;

	if (client < 0 || fstat(fd, &st) < 0) {
		(void)fprintf(stderr, "usage: cut_disk SOCKET FILE SEED (%s)\n", strerror(errno));
		return 2;
	}
	d.size = (uint64_t)st.st_size;
	d.seed = strtoull(argv[3], NULL, 10);
	rc = talk(&d);
	flush(&d);
	return rc;
}
