/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsock.c - the number of a guest's vsock. The kernel gives each to one holder, and to the
 * next one when the descriptor is closed: so the process that becomes the monitor takes it
 * and hands it over, and it goes with it.
 */
#include "supervisor/launch/launch.h"

#include "journal/base/cleanup.h"
#include "supervisor/unikernel/vsock.h"

#include <fcntl.h>
#include <linux/vhost.h>
#include <sys/ioctl.h>

#define DEVICE    "/dev/vhost-vsock"
#define TRIES_MAX 1000 /* numbers in a row that are all taken */

/* The first free one from @cid on; 0 and errno. */
static uint32_t take(int fd, uint32_t cid)
{
	for (int i = 0; i < TRIES_MAX; i++) {
		uint64_t number = cid;

		if (ioctl(fd, VHOST_VSOCK_SET_GUEST_CID, &number) == 0)
			return cid;
		if (errno != EADDRINUSE)
			return 0;
		cid = cid < VSOCK_CID_MAX ? cid + 1 : VSOCK_CID_MIN;
	}
	return 0;
}

int launch_vsock(json_object *args, json_object *ready, struct err *err)
{
	json_object *wish = launch_member(args, "cid", json_type_int);
	auto_fd int fd = -1;
	uint32_t cid;

	if (!wish)
		return 0;
	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "open " DEVICE ", which the annotation vAccel needs (load "
			       "the kernel module vhost_vsock)");
	cid = take(fd, (uint32_t)json_object_get_int64(wish));
	if (!cid)
		return err_set(err, errno, "have a number for the guest's vsock");
	/* It goes over the exec, at a number that QEMU is told. */
	if (dup2(fd, LAUNCH_VSOCK_FD) < 0)
		return err_set(err, errno, "keep " DEVICE);
	json_object_object_add(ready, "cid", json_object_new_int64(cid));
	return 0;
}
