/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/unikernel/vsock.h"

#include "supervisor/step/step.h" /* json_text() */
#include "supervisor/unikernel/guests.h"
#include "supervisor/unikernel/monitors.h"

#include <errno.h>
#include <string.h>

#define KEY  "annotation com.urunc.unikernel."
#define HOST "vsock://2:"
#define UNIX "unix://"
#define NAME "/" VSOCK_NAME "_"

/* Decimal, without a sign; 0 and the last one are no ports. */
static bool read_port(const char *text, uint32_t *ret)
{
	uint64_t n = 0;

	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9' || n > UINT32_MAX)
			return false;
		n = n * 10 + (uint64_t)(*p - '0');
	}
	*ret = (uint32_t)n;
	return n > 0 && n < UINT32_MAX;
}

/* "/run/vaccel": absolute, and no way up. */
static bool is_folder(const char *path, int len)
{
	for (int i = 0; i < len; i++)
		if ((unsigned char)path[i] < 0x20 || path[i] == 0x7f ||
		    strncmp(path + i, "/../", 4) == 0)
			return false;
	return len > 1 && path[0] == '/';
}

static bool read_unix(struct vsock *v, const char *address)
{
	const char *path = address + strlen(UNIX);
	const char *name;

	if (strncmp(address, UNIX, strlen(UNIX)) != 0)
		return false;
	name = strrchr(path, '/');
	if (!name || strncmp(name, NAME, strlen(NAME)) != 0)
		return false;
	v->folder = path;
	v->folder_len = (int)(name - path);
	return is_folder(path, v->folder_len) && read_port(name + strlen(NAME), &v->port);
}

static bool read_address(struct vsock *v, const char *address)
{
	if (!v->kernel)
		return read_unix(v, address);
	return strncmp(address, HOST, strlen(HOST)) == 0 &&
	       read_port(address + strlen(HOST), &v->port);
}

/* Has the one a vsock, and can the other be told? */
static int check(const struct monitor *monitor, const struct guest *guest, const char *version,
		 struct err *err)
{
	if (monitor->vsock == VSOCK_NONE)
		return err_say(err, ENOTSUP, KEY "vAccel: monitor \"%s\" has no vsock; use qemu, "
			       "firecracker or cloud-hypervisor", monitor->name);
	if (!guest_has_env(guest, version))
		return err_say(err, ENOTSUP, KEY "vAccel: type \"%s\" has no environment, so it can't "
			       "be told where vAccel is", guest->name);
	return 0;
}

int vsock_read(struct vsock *ret, json_object *unikernel, struct err *err)
{
	const struct monitor *monitor = monitor_find(json_text(unikernel, "monitor", ""));
	const struct guest *guest = guest_find(json_text(unikernel, "type", ""));
	const char *wanted = json_text(unikernel, "vaccel", "");
	const char *address = json_text(unikernel, "rpc_address", "");
	int rc;

	if (!wanted[0])
		return 0;
	if (strcmp(wanted, "vsock") != 0)
		return err_say(err, EINVAL, KEY "vAccel: \"%s\" is not known; use vsock", wanted);
	if (!monitor || !guest)
		return err_say(err, ENOTSUP, KEY "vAccel: its monitor or its type is not known");
	rc = check(monitor, guest, json_text(unikernel, "version", ""), err);
	if (rc < 0)
		return rc;
	*ret = (struct vsock){ .kernel = monitor->vsock == VSOCK_KERNEL };
	if (!read_address(ret, address))
		return err_say(err, EINVAL, KEY "RPCAddress: \"%s\" is not %s, as monitor \"%s\" needs it",
			       address, ret->kernel ? HOST "PORT" : UNIX "FOLDER" NAME "PORT",
			       monitor->name);
	return 1;
}

uint32_t vsock_cid(uint64_t random)
{
	return VSOCK_CID_MIN + (uint32_t)(random % (VSOCK_CID_MAX - VSOCK_CID_MIN + 1));
}
