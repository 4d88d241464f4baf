/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ttrpc_call.c - call a shim by hand.
 *
 *	ttrpc_call [--timeout-ms N] SOCKET NAMESPACE SERVICE METHOD [field=value ...]
 *	ttrpc_call [--timeout-ms N] --raw SOCKET HEX ...
 *
 * The first form makes a request of the task service, or of the sandbox service if that
 * is SERVICE. Fields have the names of task.proto, or sandbox.proto; besides plain ones
 * there are
 *
 *	rootfs=type,source,target,option:option...	once more for each mount
 *	options.binary_name=crun			any field of runc's Options
 *	spec=JSON, resources=JSON			or =@file
 *	pod.hostname=, pod.cgroup_parent=text, pod.sysctl=name:value
 *	pod.network=, pod.pid=, pod.ipc=, pod.user=MODE	the config of CreateSandbox; a mode of
 *							NamespaceMode by its number
 *
 * and an answer is printed as field=value lines, inner ones with a dot; an Any that
 * is known is opened. A METHOD that is not of the service is sent with an id alone.
 *
 * The second form sends the bytes as they are, in one write an argument, and prints
 * what comes back until end of file or the time is over (default 1000 ms):
 *
 *	frame id=1 type=2 flags=0 payload=0a24...
 *	closed | timeout
 *
 * Exit: 0 answered; 1 "error CODE TEXT", CODE being enum status_code or, if no server
 * said it, 0; 2 usage.
 */
#include "journal/base/cleanup.h"
#include "proto/api/cgroups_v1.pb-c.h"
#include "proto/api/cgroups_v2.pb-c.h"
#include "proto/api/pod.pb-c.h"
#include "proto/api/runc_options.pb-c.h"
#include "proto/api/sandbox.pb-c.h"
#include "proto/api/task.pb-c.h"
#include "proto/ttrpc/client.h"
#include "proto/ttrpc/frame.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MOUNTS_MAX 16
#define FILE_MAX   (1 << 20)

static const char oci[] = "types.containerd.io/opencontainers/runtime-spec/1/";

/* The config of a pod. */
struct pod {
	Runtime__V1__PodSandboxConfig config;
	Runtime__V1__LinuxPodSandboxConfig on_linux;
	Runtime__V1__LinuxSandboxSecurityContext security;
	Runtime__V1__NamespaceOption spaces;
	Runtime__V1__UserNamespace user;
	Runtime__V1__LinuxPodSandboxConfig__SysctlsEntry sysctl, *sysctls;
	bool asked;
};

/* A request and everything it points to. */
struct build {
	const ProtobufCMessageDescriptor *desc;
	ProtobufCMessage *msg;
	Containerd__Types__Mount mounts[MOUNTS_MAX];
	Containerd__Types__Mount *mount_list[MOUNTS_MAX];
	size_t n_mounts;
	Containerd__Runc__V1__Options options;
	bool has_options;
	struct pod pod;
	Google__Protobuf__Any any;
	char type_url[128];
	void *mem[MOUNTS_MAX + 4]; /* freed at the end */
	size_t n_mem;
};

static int die(const char *what, const char *arg)
{
	fprintf(stderr, "ttrpc_call: %s: %s\n", what, arg);
	return 2;
}

static void *grab(struct build *b, size_t size)
{
	void *p = b->n_mem < ARRAY_SIZE(b->mem) ? calloc(1, size) : NULL;

	if (!p) {
		fprintf(stderr, "ttrpc_call: out of memory\n");
		exit(2);
	}
	return b->mem[b->n_mem++] = p;
}

/* ---- printing -------------------------------------------------------------------- */

static void print_message(const char *prefix, const ProtobufCMessage *m);

static void print_hex(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		printf("%02x", data[i]);
	printf("\n");
}

static void print_any(const char *prefix, const Google__Protobuf__Any *any)
{
	static const ProtobufCMessageDescriptor *const known[] = {
		&io__containerd__cgroups__v1__metrics__descriptor,
		&io__containerd__cgroups__v2__metrics__descriptor,
		&containerd__runc__v1__process_details__descriptor,
	};
	ProtobufCMessage *m = NULL;

	printf("%s.type_url=%s\n", prefix, any->type_url);
	for (size_t i = 0; i < ARRAY_SIZE(known) && !m; i++)
		if (strcmp(any->type_url, known[i]->name) == 0)
			m = protobuf_c_message_unpack(known[i], NULL, any->value.len,
						      any->value.data);
	if (m) {
		print_message(prefix, m);
	} else {
		printf("%s.value=", prefix);
		print_hex(any->value.data, any->value.len);
	}
	protobuf_c_message_free_unpacked(m, NULL);
}

static void print_value(const char *name, const ProtobufCFieldDescriptor *f, const void *at)
{
	const ProtobufCMessage *m;

	if (f->type == PROTOBUF_C_TYPE_STRING) {
		printf("%s=%s\n", name, *(char *const *)at);
	} else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
		m = *(ProtobufCMessage *const *)at;
		if (m && m->descriptor == &google__protobuf__any__descriptor)
			print_any(name, (const Google__Protobuf__Any *)m);
		else if (m)
			print_message(name, m);
	} else if (f->type == PROTOBUF_C_TYPE_BYTES) {
		printf("%s=", name);
		print_hex(((const ProtobufCBinaryData *)at)->data,
			  ((const ProtobufCBinaryData *)at)->len);
	} else if (f->type == PROTOBUF_C_TYPE_DOUBLE) {
		printf("%s=%g\n", name, *(const double *)at);
	} else if (f->type == PROTOBUF_C_TYPE_INT64) {
		printf("%s=%" PRId64 "\n", name, *(const int64_t *)at);
	} else if (f->type == PROTOBUF_C_TYPE_UINT64) {
		printf("%s=%" PRIu64 "\n", name, *(const uint64_t *)at);
	} else if (f->type == PROTOBUF_C_TYPE_UINT32) {
		printf("%s=%" PRIu32 "\n", name, *(const uint32_t *)at);
	} else { /* int32, enum, bool */
		printf("%s=%" PRId32 "\n", name, *(const int32_t *)at);
	}
}

/* The size of one element of a repeated field. */
static size_t element(const ProtobufCFieldDescriptor *f)
{
	if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE)
		return sizeof(void *);
	return f->type == PROTOBUF_C_TYPE_UINT64 ? sizeof(uint64_t) : sizeof(uint32_t);
}

static void print_message(const char *prefix, const ProtobufCMessage *m)
{
	char name[256], inner[280];

	for (unsigned int i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const uint8_t *at = (const uint8_t *)m + f->offset;

		(void)snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", f->name);
		if (f->label != PROTOBUF_C_LABEL_REPEATED) {
			print_value(name, f, at);
			continue;
		}
		for (size_t k = 0; k < *(const size_t *)((const uint8_t *)m + f->quantifier_offset);
		     k++) {
			(void)snprintf(inner, sizeof(inner), "%s.%zu", name, k);
			print_value(inner, f, *(const uint8_t *const *)at + k * element(f));
		}
	}
}

/* ---- the request -------------------------------------------------------------------- */

static int set_plain(ProtobufCMessage *m, const char *name, char *value)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);
	uint8_t *at;

	if (!f || f->label == PROTOBUF_C_LABEL_REPEATED)
		return die("no such plain field", name);
	at = (uint8_t *)m + f->offset;
	if (f->type == PROTOBUF_C_TYPE_STRING)
		*(char **)at = value;
	else if (f->type == PROTOBUF_C_TYPE_UINT32)
		*(uint32_t *)at = (uint32_t)strtoul(value, NULL, 0);
	else if (f->type == PROTOBUF_C_TYPE_BOOL)
		*(protobuf_c_boolean *)at = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
	else
		return die("not a plain field", name);
	return 0;
}

static int add_mount(struct build *b, char *value)
{
	Containerd__Types__Mount *m = &b->mounts[b->n_mounts];
	char *rest = value, *word;

	if (b->n_mounts == MOUNTS_MAX)
		return die("too many mounts", value);
	containerd__types__mount__init(m);
	m->type = strsep(&rest, ",");
	m->source = rest ? strsep(&rest, ",") : (char *)"";
	m->target = rest ? strsep(&rest, ",") : (char *)"";
	m->options = grab(b, (strlen(rest ? rest : "") + 1) * sizeof(char *));
	while (rest && *rest && (word = strsep(&rest, ":")) != NULL)
		m->options[m->n_options++] = word;
	b->mount_list[b->n_mounts++] = m;
	return 0;
}

static int set_json(struct build *b, const char *field, const char *type, char *value)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(b->desc, field);
	FILE *file;

	if (!f || f->type != PROTOBUF_C_TYPE_MESSAGE)
		return die("not a field of this request", field);
	b->any.value.data = (uint8_t *)value;
	b->any.value.len = strlen(value);
	if (*value == '@') {
		file = fopen(value + 1, "re");
		if (!file)
			return die("can't read", value + 1);
		b->any.value.data = grab(b, FILE_MAX);
		b->any.value.len = fread(b->any.value.data, 1, FILE_MAX, file);
		(void)fclose(file);
	}
	(void)snprintf(b->type_url, sizeof(b->type_url), "%s%s", oci, type);
	b->any.type_url = b->type_url;
	*(Google__Protobuf__Any **)((uint8_t *)b->msg + f->offset) = &b->any;
	return 0;
}

static void pod_init(struct pod *p)
{
	runtime__v1__pod_sandbox_config__init(&p->config);
	runtime__v1__linux_pod_sandbox_config__init(&p->on_linux);
	runtime__v1__linux_sandbox_security_context__init(&p->security);
	runtime__v1__namespace_option__init(&p->spaces);
	runtime__v1__user_namespace__init(&p->user);
	runtime__v1__linux_pod_sandbox_config__sysctls_entry__init(&p->sysctl);
	p->config.on_linux = &p->on_linux;
	p->on_linux.security_context = &p->security;
	p->security.namespace_options = &p->spaces;
	p->sysctls = &p->sysctl;
}

static int set_mode(struct pod *p, const char *name, const char *value)
{
	Runtime__V1__NamespaceMode mode = (Runtime__V1__NamespaceMode)atoi(value);

	if (strcmp(name, "network") == 0)
		p->spaces.network = mode;
	else if (strcmp(name, "pid") == 0)
		p->spaces.pid = mode;
	else if (strcmp(name, "ipc") == 0)
		p->spaces.ipc = mode;
	else if (strcmp(name, "user") == 0)
		p->user.mode = mode;
	else
		return die("no such member of a pod", name);
	if (strcmp(name, "user") == 0)
		p->spaces.userns_options = &p->user;
	return 0;
}

static int set_pod(struct pod *p, const char *name, char *value)
{
	p->asked = true;
	if (strcmp(name, "hostname") == 0) {
		p->config.hostname = value;
	} else if (strcmp(name, "cgroup_parent") == 0) {
		p->on_linux.cgroup_parent = value;
	} else if (strcmp(name, "sysctl") == 0) {
		p->sysctl.key = strsep(&value, ":");
		p->sysctl.value = value ? value : (char *)"";
		p->on_linux.sysctls = &p->sysctls;
		p->on_linux.n_sysctls = 1;
	} else {
		return set_mode(p, name, value);
	}
	return 0;
}

static int set_field(struct build *b, char *arg)
{
	char *value = strchr(arg, '=');

	if (!value)
		return die("not field=value", arg);
	*value++ = '\0';
	if (strcmp(arg, "rootfs") == 0)
		return add_mount(b, value);
	if (strcmp(arg, "spec") == 0)
		return set_json(b, arg, "Process", value);
	if (strcmp(arg, "resources") == 0)
		return set_json(b, arg, "LinuxResources", value);
	if (strncmp(arg, "options.", 8) == 0) {
		b->has_options = true;
		return set_plain(&b->options.base, arg + 8, value);
	}
	if (strncmp(arg, "pod.", 4) == 0)
		return set_pod(&b->pod, arg + 4, value);
	return set_plain(b->msg, arg, value);
}

static int finish_pod(struct build *b)
{
	Containerd__Runtime__Sandbox__V1__CreateSandboxRequest *create = (void *)b->msg;
	const Runtime__V1__PodSandboxConfig *config = &b->pod.config;

	if (!b->pod.asked)
		return 0;
	if (b->desc != &containerd__runtime__sandbox__v1__create_sandbox_request__descriptor)
		return die("a pod belongs to", "CreateSandbox");
	b->any.type_url = (char *)config->base.descriptor->name;
	b->any.value.data = grab(b, runtime__v1__pod_sandbox_config__get_packed_size(config) + 1);
	b->any.value.len = runtime__v1__pod_sandbox_config__pack(config, b->any.value.data);
	create->options = &b->any;
	return 0;
}

/* Mounts and options are Create's. */
static int finish(struct build *b)
{
	Containerd__Task__V2__CreateTaskRequest *create = (void *)b->msg;

	if (!b->n_mounts && !b->has_options)
		return 0;
	if (b->desc != &containerd__task__v2__create_task_request__descriptor)
		return die("rootfs and options belong to", "Create");
	create->rootfs = b->mount_list;
	create->n_rootfs = b->n_mounts;
	if (!b->has_options)
		return 0;
	b->any.type_url = (char *)b->options.base.descriptor->name;
	b->any.value.data =
		grab(b, containerd__runc__v1__options__get_packed_size(&b->options) + 1);
	b->any.value.len = containerd__runc__v1__options__pack(&b->options, b->any.value.data);
	create->options = &b->any;
	return 0;
}

static int ask(const char *path, const struct client_request *req)
{
	ProtobufCMessage *out = NULL;
	struct err err = ERR_INIT;
	int code;

	if (client_ask(path, req, &out, &code, &err) < 0) {
		printf("error %d %s\n", code, err.text);
		return 1;
	}
	print_message("", out);
	protobuf_c_message_free_unpacked(out, NULL);
	return 0;
}

static int call(const char *path, char **argv, int timeout_ms)
{
	struct build b = { .desc = &containerd__task__v2__state_request__descriptor };
	const ProtobufCServiceDescriptor *sandbox =
		&containerd__runtime__sandbox__v1__sandbox__descriptor;
	const ProtobufCMethodDescriptor *m = protobuf_c_service_descriptor_get_method_by_name(
		strcmp(argv[1], sandbox->name) == 0 ? sandbox
						    : &containerd__task__v2__task__descriptor,
		argv[2]);
	struct client_request req = { .service = argv[1], .method = argv[2], .ns = argv[0],
				      .out = &google__protobuf__empty__descriptor,
				      .timeout_ms = timeout_ms };
	int rc = 0;

	if (m) {
		b.desc = m->input;
		req.out = m->output;
	}
	b.msg = grab(&b, b.desc->sizeof_message);
	protobuf_c_message_init(b.desc, b.msg);
	containerd__runc__v1__options__init(&b.options);
	pod_init(&b.pod);
	google__protobuf__any__init(&b.any);
	req.in = b.msg;
	for (int i = 3; argv[i] && rc == 0; i++)
		rc = set_field(&b, argv[i]);
	if (rc == 0)
		rc = finish(&b);
	if (rc == 0)
		rc = finish_pod(&b);
	if (rc == 0)
		rc = ask(path, &req);
	while (b.n_mem)
		free(b.mem[--b.n_mem]);
	return rc;
}

/* ---- raw ----------------------------------------------------------------------------- */

static int send_hex(int fd, const char *hex, int64_t deadline, struct err *err)
{
	auto_free uint8_t *data = malloc(strlen(hex) / 2 + 1);
	unsigned int byte;
	size_t len = 0;

	for (; data && sscanf(hex, "%2x", &byte) == 1 && hex[1]; hex += 2)
		data[len++] = (uint8_t)byte;
	return data ? client_send(fd, data, len, deadline, err) : -ENOMEM;
}

static int raw(const char *path, char **hex, int timeout_ms)
{
	int64_t deadline = client_deadline(timeout_ms);
	struct frame_reader r = FRAME_READER_INIT;
	struct err err = ERR_INIT;
	const uint8_t *data, *payload;
	uint8_t buf[4096];
	struct frame f;
	ssize_t n = 0;
	size_t len;
	auto_fd int fd = client_connect(path, timeout_ms, &err);

	for (; fd >= 0 && *hex && n == 0; hex++)
		n = send_hex(fd, *hex, deadline, &err);
	if (fd < 0 || n < 0) {
		printf("error 0 %s\n", err.text);
		return 1;
	}
	while ((n = client_receive(fd, buf, sizeof(buf), deadline, &err)) > 0) {
		data = buf;
		len = (size_t)n;
		while (len && frame_read(&r, &data, &len, &f, &payload) == FRAME_READY) {
			printf("frame id=%u type=%u flags=%u payload=", f.id, f.type, f.flags);
			print_hex(payload, payload ? f.len : 0);
		}
	}
	printf("%s\n", n == -ETIMEDOUT ? "timeout" : "closed");
	frame_reader_clear(&r);
	return 0;
}

int main(int argc, char **argv)
{
	int timeout_ms = 0;
	bool is_raw = false;

	for (; argc > 1 && strncmp(argv[1], "--", 2) == 0; argc--, argv++) {
		if (strcmp(argv[1], "--raw") == 0) {
			is_raw = true;
		} else if (strcmp(argv[1], "--timeout-ms") == 0 && argc > 2) {
			timeout_ms = atoi(argv[2]);
			argc--, argv++;
		} else {
			return die("no such option", argv[1]);
		}
	}
	if (argc < (is_raw ? 3 : 5))
		return die("usage", "[--timeout-ms N] SOCKET NS SERVICE METHOD [field=value ...] | "
				    "--raw SOCKET HEX ...");
	if (is_raw)
		return raw(argv[1], argv + 2, timeout_ms > 0 ? timeout_ms : 1000);
	return call(argv[1], argv + 2, timeout_ms > 0 ? timeout_ms : 10000);
}
