/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/unikernel/argv.h"

#include <json-c/json.h> /* first: auto_json */

#include "journal/base/cleanup.h"

#include <stdarg.h>
#include <string.h>

#define MIB (INT64_C(1024) * 1024)

/* Words, and the first thing that went wrong with one. */
struct words {
	struct argv argv;
	struct err *err;
	int rc;
};

void argv_clear(struct argv *argv)
{
	for (size_t i = 0; i < argv->n; i++)
		free(argv->at[i]);
	*argv = (struct argv){ .n = 0 };
}

__attribute__((format(printf, 2, 3)))
static void add(struct words *w, const char *fmt, ...)
{
	struct argv *a = &w->argv;
	char *text = NULL;
	va_list ap;
	int n;

	if (w->rc < 0)
		return;
	if (a->n == ARGV_MAX) {
		w->rc = err_say(w->err, E2BIG, "the monitor would get more than %d words: too many "
				"disks", ARGV_MAX);
		return;
	}
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		w->rc = err_set(w->err, ENOMEM, "write the monitor's words");
	else
		a->at[a->n++] = text;
}

static void option(struct words *w, const char *name, const char *value)
{
	add(w, "%s", name);
	add(w, "%s", value);
}

static void option_number(struct words *w, const char *name, unsigned long long value)
{
	add(w, "%s", name);
	add(w, "%llu", value);
}

int launch_mib(int64_t bytes, int64_t *ret, struct err *err)
{
	if (bytes < MIB)
		return err_say(err, EINVAL, "a memory limit of %lld bytes is less than the 1 MiB that "
			       "a guest needs at least", (long long)bytes);
	*ret = bytes / MIB;
	return 0;
}

static long long mib(struct words *w, const struct launch *l)
{
	int64_t n = 0;

	if (w->rc == 0)
		w->rc = launch_mib(l->memory, &n, w->err);
	return n;
}

static unsigned int cpus(const struct launch *l)
{
	return l->vcpus ? l->vcpus : 1;
}

static void lacks(struct words *w, const struct launch *l, const char *what)
{
	if (w->rc == 0)
		w->rc = err_say(w->err, ENOTSUP, "monitor \"%s\" has no %s", l->monitor->name, what);
}

/* ---- qemu ------------------------------------------------------------------------ */

/* In a list of properties a comma in a value is written twice. */
static char *twice(struct words *w, const char *value)
{
	char *text = malloc(2 * strlen(value) + 1);
	char *to = text;

	if (!text) {
		if (w->rc == 0)
			w->rc = err_set(w->err, ENOMEM, "write the monitor's words");
		return NULL;
	}
	for (const char *p = value; *p; p++) {
		*to++ = *p;
		if (*p == ',')
			*to++ = ',';
	}
	*to = '\0';
	return text;
}

static void qemu_machine(struct words *w, const struct launch *l)
{
	add(w, "-m");
	add(w, "%lldM", mib(w, l));
	if (l->data)
		option(w, "-L", l->data);
	if (l->arm64)
		option(w, "-M", "virt");
	/* A processor of the host's kind is for KVM alone. */
	option(w, "-cpu", l->kvm ? "host" : "max");
	option(w, "-accel", l->kvm ? "kvm" : "tcg");
	option(w, "-display", "none");
	option(w, "-vga", "none");
	option(w, "-serial", "stdio");
	option(w, "-monitor", "none");
	option_number(w, "-smp", cpus(l));
	if (l->control) {
		add(w, "-chardev");
		add(w, "socket,id=control,fd=%d", l->control);
		option(w, "-mon", "chardev=control,mode=control");
	}
	if (l->seccomp)
		option(w, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
				      "resourcecontrol=deny");
}

static void qemu_net(struct words *w, const struct launch *l)
{
	bool modern = strcmp(l->guest->name, "mewz") == 0; /* it has no legacy driver */
	char mtu[32] = "";

	if (!l->net) {
		option(w, "-nic", "none");
		return;
	}
	if (l->net->mtu)
		(void)snprintf(mtu, sizeof(mtu), ",host_mtu=%u", l->net->mtu);
	add(w, "-netdev");
	add(w, "tap,id=net0,ifname=%s,script=no,downscript=no%s", l->net->tap,
	    l->net->vhost ? ",vhost=on" : "");
	add(w, "-device");
	add(w, "virtio-net-pci,netdev=net0%s%s,mac=%s",
	    modern ? ",disable-legacy=on,disable-modern=off" : "", mtu, l->net->mac);
}

static void qemu_drives(struct words *w, const struct launch *l)
{
	bool is_linux = strcmp(l->guest->name, "linux") == 0;

	for (size_t i = 0; i < l->n_drives; i++) {
		const struct launch_drive *d = &l->drives[i];
		auto_free char *path = twice(w, d->path);

		add(w, "-device");
		add(w, "virtio-blk-pci,serial=%s,drive=%s%s", d->id, d->id,
		    is_linux ? "" : ",scsi=off");
		add(w, "-drive");
		add(w, "format=raw,if=none,id=%s,file=%s", d->id, path ? path : "");
	}
}

static void qemu_shares(struct words *w, const struct launch *l)
{
	if (l->share_9p) {
		auto_free char *path = twice(w, l->share_9p);

		add(w, "-fsdev");
		add(w, "local,id=rootfs9p,security_model=none,multidevs=remap,path=%s",
		    path ? path : "");
		option(w, "-device", "virtio-9p-pci,fsdev=rootfs9p,mount_tag=" LAUNCH_SHARE_TAG);
	}
	if (l->share_socket) {
		auto_free char *path = twice(w, l->share_socket);

		add(w, "-object");
		add(w, "memory-backend-memfd,id=mem,size=%lldM,share=on", mib(w, l));
		option(w, "-numa", "node,memdev=mem");
		add(w, "-chardev");
		add(w, "socket,id=char0,path=%s", path ? path : "");
		option(w, "-device", "vhost-user-fs-pci,queue-size=1024,chardev=char0,tag="
				     LAUNCH_SHARE_TAG);
	}
}

static void qemu(struct words *w, const struct launch *l)
{
	qemu_machine(w, l);
	option(w, "-kernel", l->kernel);
	qemu_net(w, l);
	qemu_drives(w, l);
	if (l->initrd)
		option(w, "-initrd", l->initrd);
	qemu_shares(w, l);
	for (size_t i = 0; l->guest->qemu[i]; i++)
		add(w, "%s", l->guest->qemu[i]);
	if (l->cid) {
		add(w, "-device");
		add(w, "vhost-vsock-pci,id=vhost-vsock-pci0,guest-cid=%u,vhostfd=%d", l->cid,
		    l->cid_fd);
	}
	option(w, "-append", l->cmdline);
}

/* ---- firecracker ----------------------------------------------------------------- */

static void firecracker(struct words *w, const struct launch *l)
{
	if (l->share_9p || l->share_socket)
		lacks(w, l, "shared folders");
	add(w, "--no-api");
	option(w, "--config-file", l->config);
	if (!l->seccomp)
		add(w, "--no-seccomp");
}

/* Members of an object; one that could not be made leaves *lost set. */
static void put(json_object *o, const char *name, json_object *value, bool *lost)
{
	if (!o || !value || json_object_object_add(o, name, value) < 0) {
		json_object_put(value);
		*lost = true;
	}
}

static void put_text(json_object *o, const char *name, const char *value, bool *lost)
{
	put(o, name, json_object_new_string(value), lost);
}

static void put_number(json_object *o, const char *name, int64_t value, bool *lost)
{
	put(o, name, json_object_new_int64(value), lost);
}

static void put_bool(json_object *o, const char *name, bool value, bool *lost)
{
	put(o, name, json_object_new_boolean(value), lost);
}

static json_object *fc_boot(const struct launch *l, bool *lost)
{
	json_object *o = json_object_new_object();

	put_text(o, "kernel_image_path", l->kernel, lost);
	put_text(o, "boot_args", l->cmdline, lost);
	if (l->initrd)
		put_text(o, "initrd_path", l->initrd, lost);
	return o;
}

static json_object *fc_machine(const struct launch *l, int64_t size, bool *lost)
{
	json_object *o = json_object_new_object();

	put_number(o, "vcpu_count", cpus(l), lost);
	put_number(o, "mem_size_mib", size, lost);
	put_bool(o, "smt", false, lost);
	put_bool(o, "track_dirty_pages", false, lost);
	return o;
}

/* Linux finds its root by the command line, where Firecracker would add another; the
 * other name keeps it from doing that. */
static json_object *fc_drive(const struct launch *l, const struct launch_drive *d, bool *lost)
{
	json_object *o = json_object_new_object();
	bool is_linux = strcmp(l->guest->name, "linux") == 0;
	auto_free char *id = NULL;

	if (asprintf(&id, "%s%s", is_linux ? "FC" : "", d->id) < 0) {
		id = NULL;
		*lost = true;
	}
	put_text(o, "drive_id", id ? id : "", lost);
	put_bool(o, "is_read_only", false, lost);
	put_bool(o, "is_root_device", !is_linux && strcmp(d->id, "rootfs") == 0, lost);
	put_text(o, "path_on_host", d->path, lost);
	return o;
}

static void append(json_object *list, json_object *one, bool *lost)
{
	if (!list || !one || json_object_array_add(list, one) < 0) {
		json_object_put(one);
		*lost = true;
	}
}

static json_object *fc_drives(const struct launch *l, bool *lost)
{
	json_object *list = json_object_new_array();

	for (size_t i = 0; i < l->n_drives; i++)
		append(list, fc_drive(l, &l->drives[i], lost), lost);
	return list;
}

static json_object *fc_net(const struct launch *l, bool *lost)
{
	json_object *list = json_object_new_array();
	json_object *o;

	if (!l->net)
		return list;
	o = json_object_new_object();
	put_text(o, "iface_id", "net1", lost);
	put_text(o, "guest_mac", l->net->mac, lost);
	put_text(o, "host_dev_name", l->net->tap, lost);
	append(list, o, lost);
	return list;
}

static json_object *fc_vsock(const struct launch *l, bool *lost)
{
	json_object *o = json_object_new_object();

	put_number(o, "guest_cid", l->cid, lost);
	put_text(o, "uds_path", l->cid_socket, lost);
	put_text(o, "vsock_id", "root", lost);
	return o;
}

int launch_config(char **ret, const struct launch *l, struct err *err)
{
	auto_json json_object *o = json_object_new_object();
	const char *text;
	bool lost = false;
	int64_t size = 0;
	int rc = launch_mib(l->memory, &size, err);

	if (rc < 0)
		return rc;
	put(o, "boot-source", fc_boot(l, &lost), &lost);
	put(o, "machine-config", fc_machine(l, size, &lost), &lost);
	put(o, "drives", fc_drives(l, &lost), &lost);
	put(o, "network-interfaces", fc_net(l, &lost), &lost);
	if (l->cid)
		put(o, "vsock", fc_vsock(l, &lost), &lost);
	text = o && !lost ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							     JSON_C_TO_STRING_NOSLASHESCAPE)
			  : NULL;
	*ret = text ? strdup(text) : NULL;
	return *ret ? 0 : err_set(err, ENOMEM, "write firecracker's file");
}

/* ---- cloud-hypervisor ------------------------------------------------------------ */

/* It has no way to write a comma or a bracket in a value. */
static const char *plain(struct words *w, const char *value)
{
	if (w->rc == 0 && strpbrk(value, ",[]\""))
		w->rc = err_say(w->err, EINVAL, "cloud-hypervisor can't be told the path \"%s\": it "
				"has a comma, a bracket or a quote in it", value);
	return value;
}

static void cloud_hypervisor(struct words *w, const struct launch *l)
{
	if (l->share_9p)
		lacks(w, l, "9pfs");
	add(w, "--memory");
	add(w, "size=%lldM%s", mib(w, l), l->share_socket ? ",shared=on" : "");
	add(w, "--cpus");
	add(w, "boot=%u", cpus(l));
	option(w, "--kernel", l->kernel);
	option(w, "--console", "off");
	option(w, "--serial", "tty");
	option(w, "--seccomp", l->seccomp ? "true" : "false");
	if (l->net) {
		char mtu[32] = "";

		if (l->net->mtu)
			(void)snprintf(mtu, sizeof(mtu), ",mtu=%u", l->net->mtu);
		add(w, "--net");
		add(w, "tap=%s,mac=%s%s", l->net->tap, l->net->mac, mtu);
	}
	for (size_t i = 0; i < l->n_drives; i++) {
		add(w, "--disk");
		add(w, "path=%s,id=%s", plain(w, l->drives[i].path), l->drives[i].id);
	}
	if (l->initrd)
		option(w, "--initramfs", l->initrd);
	if (l->share_socket) {
		add(w, "--fs");
		add(w, "tag=" LAUNCH_SHARE_TAG ",socket=%s", plain(w, l->share_socket));
	}
	if (l->cid) {
		add(w, "--vsock");
		add(w, "cid=%u,socket=%s", l->cid, plain(w, l->cid_socket));
	}
	option(w, "--cmdline", l->cmdline);
}

/* ---- solo5, hyperlight ----------------------------------------------------------- */

/* Its filter can't be switched off, and it always has one processor. */
static void solo5(struct words *w, const struct launch *l)
{
	if (l->initrd)
		lacks(w, l, "initrd");
	if (l->share_9p || l->share_socket)
		lacks(w, l, "shared folders");
	if (l->cid)
		lacks(w, l, "vsock");
	add(w, "--mem=%lld", mib(w, l));
	if (l->net) {
		add(w, "--net:%s=%s", l->guest->net_name, l->net->tap);
		add(w, "--net-mac:%s=%s", l->guest->net_name, l->net->mac);
	}
	if (l->n_drives > 1)
		lacks(w, l, "second disk: its guests declare one");
	for (size_t i = 0; i < l->n_drives; i++)
		add(w, "--block:%s=%s", l->guest->block_name, l->drives[i].path);
	add(w, "--");
	add(w, "%s", l->kernel);
	/* It joins its words with blanks, so one word arrives as it is. */
	if (l->cmdline[0])
		add(w, "%s", l->cmdline);
}

static void hyperlight(struct words *w, const struct launch *l)
{
	if (l->net || l->n_drives || l->share_9p || l->share_socket || l->cid)
		lacks(w, l, "devices");
	add(w, "%s", l->kernel);
	if (l->initrd)
		option(w, "--initrd", l->initrd);
	add(w, "--memory");
	add(w, "%lld", (long long)mib(w, l) * MIB);
}

/* ---- the table ------------------------------------------------------------------- */

static const struct {
	const char *monitor;
	void (*words)(struct words *w, const struct launch *l);
} forms[] = {
	{ "qemu", qemu },
	{ "firecracker", firecracker },
	{ "cloud-hypervisor", cloud_hypervisor },
	{ "hvt", solo5 },
	{ "spt", solo5 },
	{ "hyperlight-unikraft", hyperlight },
};

/* What only some monitors or guests can have. */
static int check(const struct launch *l, struct err *err)
{
	if (!monitor_runs(l->monitor, l->guest->name))
		return err_say(err, ENOTSUP, "monitor \"%s\" can't run type \"%s\"", l->monitor->name,
			       l->guest->name);
	if (l->monitor->kvm == KVM_MUST && !l->kvm)
		return err_say(err, ENOTSUP, "monitor \"%s\" needs KVM, and /dev/kvm can't be used; "
			       "load the kvm module, or use qemu or spt", l->monitor->name);
	if (l->n_drives > DRIVES_MAX)
		return err_say(err, E2BIG, "%zu disks, and a guest can have %d", l->n_drives,
			       DRIVES_MAX);
	if (l->n_drives && !l->monitor->block)
		return err_say(err, ENOTSUP, "monitor \"%s\" has no disks", l->monitor->name);
	return 0;
}

int launch_argv(struct argv *ret, const struct launch *launch, struct err *err)
{
	struct words w = { .err = err };

	w.rc = check(launch, err);
	if (w.rc < 0)
		return w.rc;
	add(&w, "%s", launch->program);
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (strcmp(forms[i].monitor, launch->monitor->name) == 0)
			forms[i].words(&w, launch);
	if (w.rc == 0)
		*ret = w.argv;
	else
		argv_clear(&w.argv);
	return w.rc;
}
