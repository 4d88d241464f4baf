/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/net/tap.h"

#include "journal/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define DEVICE "/dev/net/tun"

static int born(int fd, const char *name, struct err *err)
{
	struct ifreq ifr = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
						  IFF_ONE_QUEUE | IFF_TUN_EXCL) };

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		return 0;
	if (errno == EBUSY || errno == EEXIST || errno == EINVAL)
		return err_say(err, EAGAIN, "there is an interface %s already", name);
	return err_set(err, errno, "make %s", name);
}

int tap_make(int *ret_fd, int *ret_index, const char *name, uint32_t uid, uint32_t gid,
	     struct err *err)
{
	auto_fd int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return err_say(err, ENODEV, "make %s: " DEVICE " can't be opened (%s); load the "
			       "module tun", name, strerror(errno));
	rc = born(fd, name, err);
	if (rc < 0)
		return rc;
	if (ioctl(fd, TUNSETOWNER, (unsigned long)uid) < 0 ||
	    ioctl(fd, TUNSETGROUP, (unsigned long)gid) < 0)
		return err_set(err, errno, "give %s to user %u", name, uid);
	*ret_index = (int)if_nametoindex(name);
	if (*ret_index <= 0)
		return err_set(err, errno, "index of %s", name);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int tap_keep(int fd, const char *name, struct err *err)
{
	return ioctl(fd, TUNSETPERSIST, 1UL) < 0 ? err_set(err, errno, "keep %s", name) : 0;
}
