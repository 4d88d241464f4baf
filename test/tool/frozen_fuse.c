/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frozen_fuse.c - a file system whose server hangs.
 *
 *	frozen_fuse DIR
 *
 * Mounts on DIR, prints "mounted", takes every request, and answers none: whoever asks
 * is stuck, not even SIGKILL ends him, until this process does. DIR is the caller's to
 * unmount.
 */
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* The first request, whose answer makes the mount usable. */
static int answer_init(int fd, const struct fuse_in_header *in)
{
	struct {
		struct fuse_out_header head;
		struct fuse_init_out init;
	} out = {
		.head = { .len = sizeof(out), .unique = in->unique },
		.init = { .major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096 },
	};

	return write(fd, &out, sizeof(out)) == sizeof(out) ? 0 : -1;
}

static int serve(int fd)
{
	char buf[1 << 17];
	struct fuse_in_header in;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) >= (ssize_t)sizeof(in)) {
		memcpy(&in, buf, sizeof(in));
		if (in.opcode == FUSE_INIT && answer_init(fd, &in) < 0)
			break;
	}
	perror("frozen_fuse: /dev/fuse");
	return 1;
}

int main(int argc, char **argv)
{
	char options[128];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (argc != 2 || fd < 0) {
		fprintf(stderr, "frozen_fuse: %s\n", argc != 2 ? "usage: frozen_fuse DIR"
							      : "no /dev/fuse");
		return 2;
	}
	(void)snprintf(options, sizeof(options), "fd=%d,rootmode=40755,user_id=0,group_id=0,"
		       "allow_other", fd);
	if (mount("frozen", argv[1], "fuse", 0, options) < 0) {
		perror("frozen_fuse: mount");
		return 2;
	}
	(void)puts("mounted");
	(void)fflush(stdout);
	return serve(fd);
}
