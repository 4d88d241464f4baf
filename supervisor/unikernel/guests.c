/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/unikernel/guest_net.h"

#include "journal/base/cleanup.h"

#include <json-c/json.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

/* A command line that grows. */
struct line {
	char *text; /* valid once the stream is closed */
	size_t len;
	FILE *to;
	bool some; /* a word was written */
};

static int line_open(struct line *l, struct err *err)
{
	*l = (struct line){ .some = false };
	l->to = open_memstream(&l->text, &l->len);
	return l->to ? 0 : err_set(err, ENOMEM, "write a command line");
}

__attribute__((format(printf, 2, 3)))
static void word(struct line *l, const char *fmt, ...)
{
	va_list ap;

	if (l->some)
		(void)fputc(' ', l->to);
	l->some = true;
	va_start(ap, fmt);
	(void)vfprintf(l->to, fmt, ap);
	va_end(ap);
}

/* Hand the text over, or drop it if something went wrong (@rc < 0). */
static int line_close(struct line *l, int rc, char **ret, struct err *err)
{
	bool lost = ferror(l->to) != 0;

	lost = fclose(l->to) != 0 || lost;
	if (rc == 0 && lost)
		rc = err_set(err, ENOMEM, "write a command line");
	if (rc < 0)
		free(l->text);
	else
		*ret = l->text;
	return rc;
}

/* A word that may hold blanks, in quotes if it does. The guest takes what stands
 * between two quotes, so a quote itself can't be among it. */
static int quoted(struct line *l, const char *name, const char *value, char quote,
		  struct err *err)
{
	bool blank = !value[0] || strpbrk(value, " \t");

	if (strpbrk(value, "\n\r") || (blank && strchr(value, quote)))
		return err_say(err, EINVAL, "\"%s%.200s\" can't be written on a kernel command "
			       "line: it holds %s", name, value,
			       strpbrk(value, "\n\r") ? "a line break"
						      : "blanks and the quote around them");
	if (blank)
		word(l, "%s%c%s%c", name, quote, value, quote);
	else
		word(l, "%s%s", name, value);
	return 0;
}

static int words(struct line *l, const char *const *list, char quote, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; list && list[i] && rc == 0; i++)
		rc = quoted(l, "", list[i], quote, err);
	return rc;
}

/* ---- linux --------------------------------------------------------------------- */

static bool runs_urunit(const struct guest_in *in)
{
	return in->args && in->args[0] && strstr(in->args[0], "urunit");
}

static void linux_root(struct line *l, enum guest_rootfs rootfs)
{
	static const char *const root[] = {
		[ROOTFS_INITRD] = "root=/dev/ram0 rw",
		[ROOTFS_BLOCK] = "root=/dev/vda rw",
		[ROOTFS_CONTAINER] = "root=/dev/vda rw",
		[ROOTFS_VIRTIOFS] = "root=fs0 rw rootfstype=virtiofs",
		[ROOTFS_9PFS] = "root=fs0 rw rootfstype=9p rootflags=trans=virtio,"
				"version=9p2000.L,msize=5000000,cache=mmap,posixacl",
	};

	if (root[rootfs])
		word(l, "%s", root[rootfs]);
}

static void linux_net(struct line *l, const struct guest_net *net)
{
	char mask[INET_ADDRSTRLEN];

	if (!net->ip)
		return;
	net_mask(net->prefix, mask);
	word(l, "ip=%s::%s:%s:urunc:eth0:off", net->ip, net->gateway, mask);
}

/* The kernel's own "ip=" is for IPv4 alone. */
static void linux_net6(struct line *l, const struct guest_net *net)
{
	if (!net->ip6)
		return;
	word(l, "URUNC_IPV6=%s/%u", net->ip6, net->prefix6);
	if (net->gateway6)
		word(l, "URUNC_IPV6_GATEWAY=%s", net->gateway6);
}

/* What the kernel doesn't know and has a '=' in it is init's environment. */
static int linux_env(struct line *l, const char *const *env, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; env && env[i] && rc == 0; i++) {
		const char *value = strchr(env[i], '=');
		char name[256];

		if (!value || value - env[i] + 2 > (ptrdiff_t)sizeof(name))
			continue; /* no variable, or none that a kernel would take */
		(void)snprintf(name, sizeof(name), "%.*s=", (int)(value - env[i]), env[i]);
		rc = value[1] ? quoted(l, name, value + 1, '"', err) : 0;
		if (!value[1])
			word(l, "%s", name);
	}
	return rc;
}

static int linux_words(struct line *l, const struct guest_in *in, struct err *err)
{
	bool initrd = in->rootfs == ROOTFS_INITRD;
	int rc = 0;

	word(l, "panic=-1 console=%s",
	     in->arm64 && strcmp(in->monitor, "qemu") == 0 ? "ttyAMA0" : "ttyS0");
	linux_root(l, in->rootfs);
	if (in->net)
		linux_net(l, in->net);
	if (!runs_urunit(in))
		rc = linux_env(l, in->env, err);
	else if (initrd)
		word(l, "URUNIT_CONFIG=/urunit.conf");
	else
		word(l, "retain_initrd URUNIT_CONFIG=/sys/firmware/initrd");
	if (rc < 0)
		return rc;
	if (in->net && in->net->ip && net_is_outside(in->net))
		word(l, "URUNIT_DEFROUTE=1");
	if (in->net)
		linux_net6(l, in->net);
	if (!in->args || !in->args[0])
		return 0;
	rc = quoted(l, initrd ? "rdinit=" : "init=", in->args[0], '"', err);
	if (rc < 0 || !in->args[1])
		return rc;
	word(l, "--");
	return words(l, in->args + 1, '\'', err);
}

/* Of what is longer it drops the end, unsaid: COMMAND_LINE_SIZE of x86 and arm64, with its NUL. */
#define LINUX_LINE 2047
#define LINUX_NET  256 /* the most that linux_net(), linux_net6() and its route write, and more */

static int linux_cmdline(const struct guest_in *in, char **ret, struct err *err)
{
	size_t room = in->net ? LINUX_LINE : LINUX_LINE - LINUX_NET;
	struct line l;
	int rc = line_open(&l, err);

	rc = rc < 0 ? rc : line_close(&l, linux_words(&l, in, err), ret, err);
	if (rc < 0 || strlen(*ret) <= room)
		return rc;
	rc = err_say(err, E2BIG, "its kernel command line has %zu bytes, and Linux reads %d of them, "
		     "%d kept for its network: give it fewer or shorter arguments and variables, or "
		     "urunit as its init, which has the variables from a file", strlen(*ret), LINUX_LINE,
		     LINUX_NET);
	free(*ret);
	*ret = NULL;
	return rc;
}

/* ---- unikraft ------------------------------------------------------------------ */

/* Before 0.16.1 the words were others. What is no version is a new one. */
static bool is_old_unikraft(const char *version)
{
	unsigned int v[3] = { 0, 0, 0 };

	if (sscanf(version, "%u.%u.%u", &v[0], &v[1], &v[2]) < 2)
		return false;
	return v[0] == 0 && (v[1] < 16 || (v[1] == 16 && v[2] < 1));
}

static void old_unikraft(struct line *l, const struct guest_in *in)
{
	char mask[INET_ADDRSTRLEN];

	if (in->net) {
		net_mask(in->net->prefix, mask);
		word(l, "netdev.ipv4_addr=%s netdev.ipv4_gw_addr=%s netdev.ipv4_subnet_mask=%s",
		     in->net->ip, in->net->gateway, mask);
	}
	if (in->rootfs == ROOTFS_INITRD)
		word(l, "vfs.rootfs=initrd");
}

static int new_unikraft(struct line *l, const struct guest_in *in, struct err *err)
{
	int rc = 0;

	if (in->arm64)
		word(l, "console=ttyS0");
	if (in->env && in->env[0]) {
		word(l, "env.vars=[");
		rc = words(l, in->env, '"', err);
		word(l, "]");
	}
	if (in->net)
		word(l, "netdev.ip=%s/%u:%s:8.8.8.8", in->net->ip, in->net->prefix,
		     in->net->gateway);
	if (in->rootfs == ROOTFS_INITRD)
		word(l, "vfs.fstab=[ \"initrd0:/:extract:::\" ]");
	if (in->rootfs == ROOTFS_9PFS)
		word(l, "vfs.fstab=[ \"fs0:/:9pfs:::\" ]");
	return rc;
}

static int unikraft_cmdline(const struct guest_in *in, char **ret, struct err *err)
{
	struct line l;
	int rc = line_open(&l, err);

	if (rc < 0)
		return rc;
	word(&l, "Unikraft");
	if (is_old_unikraft(in->version))
		old_unikraft(&l, in);
	else
		rc = new_unikraft(&l, in, err);
	word(&l, "--");
	if (rc == 0)
		rc = words(&l, in->args, '"', err);
	return line_close(&l, rc, ret, err);
}

/* ---- rumprun ------------------------------------------------------------------- */

/* A member of an object whose keys repeat, which no JSON library writes. */
static int member(struct line *l, const char *name, const char *value, struct err *err)
{
	json_object *o = json_object_new_string(value);
	const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							JSON_C_TO_STRING_NOSLASHESCAPE)
			     : NULL;

	if (text)
		(void)fprintf(l->to, "%s\"%s\":%s", l->some ? "," : "{", name, text);
	l->some = true;
	json_object_put(o);
	return text ? 0 : err_set(err, ENOMEM, "write a command line");
}

static int rumprun_args(struct line *l, const struct guest_in *in, struct err *err)
{
	auto_free char *args = NULL;
	struct line inner;
	int rc = line_open(&inner, err);

	if (rc == 0)
		rc = line_close(&inner, words(&inner, in->args, '"', err), &args, err);
	return rc < 0 ? rc : member(l, "cmdline", args, err);
}

/* It takes one address. The mask of one bit makes every IPv4 gateway a neighbour. */
static void rumprun_net(FILE *to, const struct guest_net *net)
{
	(void)fputs(",\"net\":{\"if\":\"ukvmif0\",\"cloner\":\"True\",", to);
	if (net->ip)
		(void)fprintf(to, "\"type\":\"inet\",\"method\":\"static\",\"addr\":\"%s\",\"mask\":"
			      "\"1\",\"gw\":\"%s\"}", net->ip, net->gateway);
	else
		(void)fprintf(to, "\"type\":\"inet6\",\"method\":\"static\",\"addr\":\"%s\",\"mask\":"
			      "\"%u\"%s%s%s}", net->ip6, net->prefix6,
			      net->gateway6 ? ",\"gw\":\"" : "", net->gateway6 ? net->gateway6 : "",
			      net->gateway6 ? "\"" : "");
}

static int rumprun_cmdline(const struct guest_in *in, char **ret, struct err *err)
{
	struct line l;
	int rc = line_open(&l, err);

	if (rc < 0)
		return rc;
	rc = rumprun_args(&l, in, err);
	for (size_t i = 0; in->env && in->env[i] && rc == 0; i++)
		rc = member(&l, "env", in->env[i], err);
	if (in->net)
		rumprun_net(l.to, in->net);
	if (in->rootfs == ROOTFS_BLOCK || in->rootfs == ROOTFS_CONTAINER)
		(void)fputs(",\"blk\":{\"source\":\"etfs\",\"path\":\"/dev/ld0a\",\"fstype\":"
			    "\"blk\",\"mountpoint\":\"/data\"}", l.to);
	(void)fputc('}', l.to);
	return line_close(&l, rc, ret, err);
}

/* ---- mirage, mewz, hermit ------------------------------------------------------ */

/* It has an IPv4 address of its own, if it is given none, unless it is told not to. */
static void mirage_net(struct line *l, const struct guest_net *net)
{
	if (net->ip)
		word(l, "--ipv4=%s/%u --ipv4-gateway=%s", net->ip, net->prefix, net->gateway);
	else
		word(l, "--ipv6-only=true");
	if (net->ip6)
		word(l, "--ipv6=%s/%u", net->ip6, net->prefix6);
	if (net->ip6 && net->gateway6)
		word(l, "--ipv6-gateway=%s", net->gateway6);
}

static int mirage_cmdline(const struct guest_in *in, char **ret, struct err *err)
{
	struct line l;
	int rc = line_open(&l, err);

	if (rc < 0)
		return rc;
	if (in->net)
		mirage_net(&l, in->net);
	return line_close(&l, words(&l, in->args, '"', err), ret, err);
}

static void ip_and_gateway(struct line *l, const struct guest_net *net)
{
	if (net)
		word(l, "ip=%s/%u gateway=%s", net->ip, net->prefix, net->gateway);
}

/* It takes no arguments. */
static int mewz_cmdline(const struct guest_in *in, char **ret, struct err *err)
{
	struct line l;
	int rc = line_open(&l, err);

	if (rc < 0)
		return rc;
	ip_and_gateway(&l, in->net);
	return line_close(&l, 0, ret, err);
}

static int hermit_cmdline(const struct guest_in *in, char **ret, struct err *err)
{
	struct line l;
	int rc = line_open(&l, err);

	if (rc < 0)
		return rc;
	ip_and_gateway(&l, in->net);
	word(&l, "--");
	return line_close(&l, words(&l, in->args, '\'', err), ret, err);
}

/* ---- urunit's file ------------------------------------------------------------- */

static int conf_lines(FILE *to, const struct guest_conf *conf, struct err *err)
{
	const char *const *env = conf->in->env;
	bool fc = strcmp(conf->in->monitor, "firecracker") == 0;

	(void)fputs("UES\n", to);
	for (size_t i = 0; env && env[i]; i++) {
		if (strchr(env[i], '\n'))
			return err_say(err, EINVAL, "the variable \"%.100s\" has a line break, "
				       "which urunit's file can't hold", env[i]);
		(void)fprintf(to, "%s\n", env[i]);
	}
	if (strchr(conf->cwd, '\n'))
		return err_say(err, EINVAL, "process.cwd has a line break");
	(void)fprintf(to, "UEE\nUCS\nUID:%u\nGID:%u\nWD:%s\nUCE\nUBS\n", conf->uid, conf->gid,
		      conf->cwd);
	for (size_t i = 0; i < conf->n_volumes; i++) {
		const struct guest_volume *v = &conf->volumes[i];

		if (strchr(v->mount_point, '\n'))
			return err_say(err, EINVAL, "the mount point of %s has a line break",
				       v->id);
		(void)fprintf(to, "ID:%s%s\nMP:%s\n", fc ? "FC" : "", v->id, v->mount_point);
	}
	(void)fputs("UBE\n", to);
	return 0;
}

int guest_conf(const struct guest_conf *conf, char **ret, struct err *err)
{
	struct line l;
	int rc = line_open(&l, err);

	return rc < 0 ? rc : line_close(&l, conf_lines(l.to, conf, err), ret, err);
}

/* ---- the table ----------------------------------------------------------------- */

const struct guest guests[] = {
	{ "linux", .block = true, .fs = { "ext2", "ext3", "ext4", "9pfs", "virtiofs" },
	  .ipv6 = true, .both = true, .power = true, .qemu = { "-no-reboot", "-nodefaults" },
	  .cmdline = linux_cmdline },
	{ "unikraft", .fs = { "9pfs" }, .cmdline = unikraft_cmdline },
	{ "rumprun", .block = true, .fs = { "ext2" }, .net_name = "tap",
	  .block_name = "rootfs", .ipv6 = true, .no_scope = true,
	  .cmdline = rumprun_cmdline },
	{ "mirage", .block = true, .net_name = "service", .block_name = "storage",
	  /* An image for IPv4 alone, which older ones often are, takes no word of IPv6. */
	  .ipv6 = true, .both = true, .both_since = 4, .cmdline = mirage_cmdline },
	{ "mewz", .qemu = { "-no-reboot", "-device", "isa-debug-exit,iobase=0x501,iosize=2" },
	  .cmdline = mewz_cmdline },
	{ "hermit", .qemu = { "-no-reboot" }, .cmdline = hermit_cmdline },
	{ "freebsd", .block = true, .fs = { "ext2" }, .power = true },
	{ .name = NULL },
};

const struct guest *guest_find(const char *name)
{
	for (const struct guest *g = guests; g->name; g++)
		if (strcmp(g->name, name) == 0)
			return g;
	return NULL;
}

bool guest_mounts(const struct guest *guest, const char *fs)
{
	for (size_t i = 0; guest->fs[i]; i++)
		if (strcmp(guest->fs[i], fs) == 0)
			return true;
	return false;
}

bool guest_has_env(const struct guest *guest, const char *version)
{
	if (guest->cmdline == unikraft_cmdline)
		return !is_old_unikraft(version);
	return guest->cmdline == linux_cmdline || guest->cmdline == rumprun_cmdline;
}

bool guest_has_urunit(const struct guest *guest, const struct guest_in *in)
{
	return guest->cmdline == linux_cmdline && runs_urunit(in);
}

int guest_cmdline(const struct guest *guest, const struct guest_in *in, char **ret,
		  struct err *err)
{
	struct guest_in told = *in;
	struct guest_net net;
	int rc = in->net ? guest_net_check(guest, in->net, err) : 0;

	if (rc < 0)
		return rc;
	if (!guest->cmdline)
		return err_say(err, ENOTSUP, "how the command line of type \"%s\" is written is "
			       "not known", guest->name);
	if (in->net && in->net->ip && !guest_ipv6(guest, in->version, true)) {
		net = *in->net;
		net.ip6 = net.gateway6 = NULL;
		told.net = &net;
	}
	return guest->cmdline(&told, ret, err);
}

const char *guest_rootfs_name(enum guest_rootfs rootfs)
{
	static const char *const names[] = {
		[ROOTFS_NONE] = "none",	     [ROOTFS_INITRD] = "initrd",
		[ROOTFS_BLOCK] = "block",    [ROOTFS_CONTAINER] = "rootfs-block",
		[ROOTFS_VIRTIOFS] = "virtiofs", [ROOTFS_9PFS] = "9pfs",
	};

	return names[rootfs];
}
