/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/unikernel/order.h"

#include "journal/base/cleanup.h"
#include "supervisor/launch/launch.h"
#include "supervisor/node/node.h"
#include "supervisor/step/step.h"
#include "supervisor/unikernel/argv.h"
#include "supervisor/unikernel/vsock.h"

#include <string.h>

/* Files that are made when the order has come. */
#define CONFIG "/tmp/monitor.json" /* of monitors that read one */
#define CONF   "/tmp/urunit.conf"  /* of a guest's urunit       */

#define ORDER_MAX (TALK_MAX - 8192) /* with room for what its network adds */

/* All that is made on the way. */
struct making {
	struct launch launch;
	struct launch_net tap;
	struct launch_drive drives[2];
	struct guest_in guest;
	struct order_net net;
	char *kernel, *path, *extra, *cmdline, *config, *conf, *rpc;
	const char **args, **env;
	struct argv argv;
};

static void order_clear(struct making *o)
{
	free(o->kernel);
	free(o->path);
	free(o->extra);
	free(o->cmdline);
	free(o->config);
	free(o->conf);
	free(o->rpc);
	free(o->args);
	free(o->env);
	argv_clear(&o->argv);
}

static json_object *member(json_object *o, const char *name)
{
	json_object *value = NULL;

	return o && json_object_object_get_ex(o, name, &value) ? value : NULL;
}

static json_object *resources(const struct spec *spec)
{
	return member(member(spec->json, "linux"), "resources");
}

int64_t order_memory(const struct spec *spec)
{
	int64_t limit = json_int(member(resources(spec), "memory"), "limit", 0);

	return limit > 0 ? limit : GUEST_MEMORY;
}

unsigned int order_vcpus(const struct spec *spec)
{
	json_object *cpu = member(resources(spec), "cpu");
	int64_t quota = json_int(cpu, "quota", 0);
	int64_t period = json_int(cpu, "period", 100000);
	int64_t n = quota > 0 && period > 0 ? quota / period + (quota % period > 0) : 1;

	return n > 255 ? 255 : (unsigned int)n;
}

/* With room for one more. */
static const char **texts(json_object *list)
{
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	const char **out = calloc(n + 2, sizeof(*out));

	for (size_t i = 0; out && i < n; i++) {
		const char *text = json_object_get_string(json_object_array_get_idx(list, i));

		out[i] = text ? text : "";
	}
	return out;
}

/* As the monitor sees a file of the container's rootfs. */
static int seen(char **ret, const char *path, struct err *err)
{
	if (asprintf(ret, LAUNCH_ROOTFS "/%s", path + strspn(path, "/")) >= 0)
		return 0;
	*ret = NULL;
	return err_set(err, ENOMEM, "name a file of the guest");
}

/* ---- what it boots from -------------------------------------------------------------- */

static enum guest_rootfs rootfs_of(const char *name)
{
	enum guest_rootfs r = ROOTFS_NONE;

	while (r < ROOTFS_9PFS && strcmp(guest_rootfs_name(r), name) != 0)
		r++;
	return r;
}

static void drive(struct making *o, const char *id, const char *path)
{
	o->drives[o->launch.n_drives++] = (struct launch_drive){ .id = id, .path = path };
	o->launch.drives = o->drives;
}

static int put_rootfs(struct making *o, const struct order_in *in, struct err *err)
{
	int rc = seen(&o->kernel, json_text(in->unikernel, "binary", ""), err);

	o->guest.rootfs = rootfs_of(json_text(in->choice, "choice", "none"));
	if (rc == 0)
		rc = seen(&o->path, json_text(in->choice, "path", ""), err);
	if (rc == 0)
		rc = seen(&o->extra, json_text(in->unikernel, "block", ""), err);
	if (rc < 0)
		return rc;
	o->launch.kernel = o->kernel;
	switch (o->guest.rootfs) {
	case ROOTFS_NONE:
		break;
	case ROOTFS_INITRD:
		o->launch.initrd = o->path;
		break;
	case ROOTFS_BLOCK:
		drive(o, "rootfs", o->path);
		break;
	case ROOTFS_9PFS:
		o->launch.share_9p = LAUNCH_ROOTFS;
		break;
	case ROOTFS_VIRTIOFS:
		o->launch.share_socket = LAUNCH_SHARE_SOCKET;
		break;
	case ROOTFS_CONTAINER:
		o->launch.kernel = LAUNCH_KERNEL;
		drive(o, "rootfs", LAUNCH_DISK);
		break;
	}
	if (json_true(in->choice, "extra_block"))
		drive(o, "annot_vol", o->extra);
	return 0;
}

/* ---- network ---------------------------------------------------------------------------- */

/* "10.4.0.2/24" or "fd00::2/64", its two parts. */
static int split(char *ip, size_t size, unsigned int *prefix, const char *text, struct err *err)
{
	const char *slash = strchr(text, '/');

	if (!slash || slash - text >= (ptrdiff_t)size)
		return err_say(err, EINVAL, "\"%s\" is no address with a prefix", text);
	(void)snprintf(ip, size, "%.*s", (int)(slash - text), text);
	*prefix = (unsigned int)atoi(slash + 1);
	return 0;
}

int order_read_net(struct order_net *ret, json_object *net, struct err *err)
{
	const char *ip = json_text(net, "ip", "");
	const char *ip6 = json_text(net, "ip6", "");
	int rc = 0;

	*ret = (struct order_net){ .net = { .gateway = json_text(net, "gateway", "0.0.0.0"),
					    .gateway6 = json_text(net, "gateway6", NULL) } };
	if (ip[0]) {
		rc = split(ret->ip, sizeof(ret->ip), &ret->net.prefix, ip, err);
		ret->net.ip = ret->ip;
	}
	if (rc == 0 && ip6[0]) {
		rc = split(ret->ip6, sizeof(ret->ip6), &ret->net.prefix6, ip6, err);
		ret->net.ip6 = ret->ip6;
	}
	return rc;
}

static int put_net(struct making *o, json_object *net, struct err *err)
{
	int rc;

	if (!json_text(net, "tap", "")[0])
		return 0;
	o->tap = (struct launch_net){ .tap = json_text(net, "tap", ""),
				      .mac = json_text(net, "mac", ""),
				      .mtu = (unsigned int)json_int(net, "mtu", 0) };
	o->launch.net = &o->tap;
	rc = order_read_net(&o->net, net, err);
	if (rc == 0 && (o->net.net.ip || o->net.net.ip6))
		o->guest.net = &o->net.net;
	return rc;
}

/* ---- all of it --------------------------------------------------------------------------- */

/* It is handed over as the initrd, which the guest keeps and does not boot from. */
static int put_conf(struct making *o, const struct order_in *in, json_object *process,
		    struct err *err)
{
	json_object *user = member(process, "user");
	const struct guest_volume volume = {
		.id = "annot_vol",
		.mount_point = json_text(in->unikernel, "block_mount", ""),
	};
	const struct guest_conf conf = {
		.in = &o->guest,
		.uid = (unsigned int)json_int(user, "uid", 0),
		.gid = (unsigned int)json_int(user, "gid", 0),
		.cwd = json_text(process, "cwd", "/"),
		.volumes = &volume,
		.n_volumes = json_true(in->choice, "extra_block"),
	};

	if (o->launch.initrd)
		return err_say(err, ENOTSUP, "urunit's file of settings would have to be in the initrd, "
			       "which is not changed; use another init, or another root file system");
	o->launch.initrd = CONF;
	return guest_conf(&conf, &o->conf, err);
}

/* What Create has made ready. Another word for the same in the guest's environment would
 * lead nowhere. */
static int put_vsock(struct making *o, const struct order_in *in, struct err *err)
{
	uint32_t cid = (uint32_t)json_int(in->launch, "cid", 0);
	struct vsock v;
	size_t n = 0;
	int rc = cid ? vsock_read(&v, in->unikernel, err) : 0;

	if (rc <= 0)
		return rc;
	if (asprintf(&o->rpc, VSOCK_ENV "vsock://2:%u", v.port) < 0) {
		o->rpc = NULL;
		return err_set(err, ENOMEM, "tell the guest where vAccel is");
	}
	for (size_t i = 0; o->env[i]; i++)
		if (strncmp(o->env[i], VSOCK_ENV, strlen(VSOCK_ENV)) != 0)
			o->env[n++] = o->env[i];
	o->env[n++] = o->rpc;
	o->env[n] = NULL;
	o->launch.cid = cid;
	o->launch.cid_fd = LAUNCH_VSOCK_FD;
	o->launch.cid_socket = LAUNCH_VSOCK_SOCKET;
	return 0;
}

static int put_guest(struct making *o, const struct order_in *in, struct err *err)
{
	json_object *process = member(in->spec->json, "process");

	o->args = texts(member(process, "args"));
	o->env = texts(member(process, "env"));
	if (!o->args || !o->env)
		return err_set(err, ENOMEM, "write the guest's command line");
	if (put_vsock(o, in, err) < 0)
		return -err->code;
	o->guest.args = o->args;
	o->guest.env = o->env;
	o->guest.version = json_text(in->unikernel, "version", "");
	o->guest.monitor = o->launch.monitor->name;
#if defined(__aarch64__)
	o->guest.arm64 = o->launch.arm64 = true;
#endif
	if (guest_has_urunit(o->launch.guest, &o->guest) && put_conf(o, in, process, err) < 0)
		return -err->code;
	return guest_cmdline(o->launch.guest, &o->guest, &o->cmdline, err);
}

static int fill(struct making *o, const struct order_in *in, struct err *err)
{
	const char *type = json_text(in->unikernel, "type", "");
	const char *monitor = json_text(in->unikernel, "monitor", "");
	int rc;

	o->launch.monitor = monitor_find(monitor);
	o->launch.guest = guest_find(type);
	if (!o->launch.monitor || !o->launch.guest)
		return err_say(err, ENOTSUP, "no monitor \"%s\", or no type \"%s\"", monitor, type);
	o->launch.program = json_text(in->choice, "monitor", "");
	o->launch.memory = order_memory(in->spec);
	o->launch.vcpus = order_vcpus(in->spec);
	o->launch.kvm = strcmp(json_text(in->launch, "accel", ""), "kvm") == 0;
	o->launch.seccomp = member(member(in->spec->json, "linux"), "seccomp") != NULL;
	o->launch.config = CONFIG;
	o->launch.control = json_true(in->launch, "power") ? SPAWN_CONTROL_FD : 0;
	rc = put_rootfs(o, in, err);
	if (rc == 0)
		rc = put_net(o, in->net, err);
	if (rc == 0)
		rc = put_guest(o, in, err);
	o->launch.cmdline = o->cmdline;
	if (rc == 0 && strcmp(monitor, "firecracker") == 0)
		rc = launch_config(&o->config, &o->launch, err);
	return rc < 0 ? rc : launch_argv(&o->argv, &o->launch, err);
}

static void put_file(json_object *files, const char *path, const char *text)
{
	json_object *file;

	if (!text)
		return;
	file = json_object_new_object();
	json_put_text(file, "path", path);
	json_put_text(file, "text", text);
	json_append(files, file);
}

static void add_mark(json_object *env, const char *name, const char *value)
{
	auto_free char *text = NULL;

	if (asprintf(&text, "%s%s", name, value) < 0)
		text = NULL;
	json_append(env, text ? json_object_new_string(text) : NULL);
}

static json_object *marks(const struct order_in *in)
{
	json_object *env = json_object_new_array();

	if (env && in->task)
		add_mark(env, ORDER_TASK, in->task);
	if (env && in->task && in->net)
		add_mark(env, ORDER_NETWORK,
			 json_object_to_json_string_ext(in->net, JSON_C_TO_STRING_PLAIN));
	return env;
}

static int write_order(char **ret, const struct making *o, const struct order_in *in,
		       struct err *err)
{
	auto_json json_object *out = json_object_new_object();
	json_object *words = json_object_new_array();
	json_object *files = json_object_new_array();
	const char *text;

	for (size_t i = 0; words && i < o->argv.n; i++)
		json_append(words, json_object_new_string(o->argv.at[i]));
	put_file(files, CONFIG, o->config);
	put_file(files, CONF, o->conf);
	json_put(out, "argv", words);
	json_put(out, "files", files);
	json_put(out, "env", marks(in));
	text = json_object_to_json_string_ext(out, JSON_C_TO_STRING_PLAIN);
	*ret = text && !json_object_get_userdata(out) ? strdup(text) : NULL;
	return *ret ? 0 : err_set(err, ENOMEM, "write the order to start");
}

int order_make(char **ret, const struct order_in *in, struct err *err)
{
	struct making o = { .argv = { .n = 0 } };
	int rc = fill(&o, in, err);

	if (rc == 0)
		rc = write_order(ret, &o, in, err);
	order_clear(&o);
	return rc;
}

int order_check(const struct order_in *in, struct err *err)
{
	auto_free char *text = NULL;
	int rc = order_make(&text, in, err);

	if (rc == 0 && strlen(text) > ORDER_MAX)
		rc = err_say(err, E2BIG, "the monitor would have to be told %zu bytes, and the limit is "
			     "%d: make the spec's process.args and process.env shorter",
			     strlen(text), ORDER_MAX);
	return rc;
}
