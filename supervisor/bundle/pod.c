/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/bundle/pod.h"

#include "journal/base/cleanup.h"
#include "journal/journal.h"
#include "proto/api/pod.pb-c.h"
#include "supervisor/bundle/json.h"
#include "supervisor/step/step.h"

#include <string.h>

#define POD_TYPE "runtime.v1.PodSandboxConfig"
#define POD_MAX (256 * 1024) /* bytes, encoded */

/* What the pod shares with the node instead of having its own. */
struct shares {
	bool network, pid, ipc;
};

static int modes_of(struct shares *ret, const Runtime__V1__LinuxPodSandboxConfig *pod,
		    struct err *err)
{
	const Runtime__V1__LinuxSandboxSecurityContext *security =
		pod ? pod->security_context : NULL;
	const Runtime__V1__NamespaceOption *o = security ? security->namespace_options : NULL;

	*ret = (struct shares){ .network = false };
	if (!o)
		return 0;
	if (o->userns_options && o->userns_options->mode != RUNTIME__V1__NAMESPACE_MODE__NODE)
		return err_say(err, ENOTSUP, "a sandbox in a user namespace of its own can't be made "
			       "by this shim; run the pod with sandboxer = \"podsandbox\"");
	ret->network = o->network == RUNTIME__V1__NAMESPACE_MODE__NODE;
	ret->pid = o->pid == RUNTIME__V1__NAMESPACE_MODE__NODE;
	ret->ipc = o->ipc == RUNTIME__V1__NAMESPACE_MODE__NODE;
	return 0;
}

/* ---- namespaces ---------------------------------------------------------------------- */

static int add_namespace(json_object *list, const char *type, const char *path)
{
	json_object *one = json_object_new_object();

	if (one)
		json_put_text(one, "type", type);
	if (one && path[0])
		json_put_text(one, "path", path);
	if (one && !json_object_get_userdata(one) && json_object_array_add(list, one) == 0)
		return 0;
	json_object_put(one);
	return -ENOMEM;
}

static int put_namespaces(json_object *sandbox, const struct shares *shares, const char *netns,
			  struct err *err)
{
	json_object *list = json_object_new_array();
	int rc = list ? 0 : -ENOMEM;

	if (rc == 0 && !shares->network)
		rc = add_namespace(list, "network", netns);
	if (rc == 0 && !shares->network)
		rc = add_namespace(list, "uts", "");
	if (rc == 0 && !shares->ipc)
		rc = add_namespace(list, "ipc", "");
	json_put(sandbox, "namespaces", list);
	json_put_text(sandbox, "pids", shares->pid ? "node" : "own");
	return rc < 0 ? err_set(err, ENOMEM, "note the sandbox") : 0;
}

/* ---- sysctls: those of a namespace that is the pod's own ------------------------------- */

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool may_set(const char *name, const struct shares *shares)
{
	if (begins(name, "net."))
		return !shares->network;
	if (begins(name, "kernel.shm") || begins(name, "kernel.msg") || begins(name, "fs.mqueue.") ||
	    strcmp(name, "kernel.sem") == 0)
		return !shares->ipc;
	return strcmp(name, "kernel.domainname") == 0 && !shares->network;
}

static int put_sysctls(json_object *sandbox, const Runtime__V1__LinuxPodSandboxConfig *pod,
		       const struct shares *shares, struct err *err)
{
	json_object *o;

	if (!pod || !pod->n_sysctls)
		return 0;
	o = json_object_new_object();
	for (size_t i = 0; o && i < pod->n_sysctls; i++) {
		const char *name = pod->sysctls[i]->key;

		if (strchr(name, '/') || strstr(name, "..") || !may_set(name, shares)) {
			json_object_put(o);
			return err_say(err, EINVAL, "sysctl \"%s\" is not of a namespace that the "
				       "pod has of its own", name);
		}
		json_put_text(o, name, pod->sysctls[i]->value);
	}
	json_put(sandbox, "sysctls", o);
	return 0;
}

/* ---- the cgroup: beside those of the pod's containers ----------------------------------- */

/* As containerd names them: of a.slice/b.slice the last is the parent. */
static int put_cgroup(json_object *o, const char *parent, const char *id, struct err *err)
{
	size_t len = strlen(parent);
	bool slice = len > 6 && strcmp(parent + len - 6, ".slice") == 0;
	const char *base = slice && strrchr(parent, '/') ? strrchr(parent, '/') + 1 : parent;
	auto_free char *path = NULL;
	json_object *options;
	int n;

	if (!parent[0])
		return 0;
	n = slice ? asprintf(&path, "%s:cri-containerd:%s", base, id)
		  : asprintf(&path, "%s%s/%s", parent[0] == '/' ? "" : "/", parent, id);
	options = json_object_new_object();
	if (n < 0 || !options) {
		json_object_put(options);
		return err_set(err, ENOMEM, "note the sandbox");
	}
	json_put_text(o, "cgroups_path", path);
	if (slice)
		json_put(options, "systemd_cgroup", json_object_new_boolean(true));
	json_put(o, "options", options);
	return 0;
}

/* ---- all of it -------------------------------------------------------------------------- */

/* The sandbox itself: what its process is told. */
static int fill_sandbox(json_object *sandbox, const struct pod_in *in, const struct shares *shares,
			const Runtime__V1__PodSandboxConfig *config, struct err *err)
{
	int rc;

	if (config && config->hostname[0] && !shares->network)
		json_put_text(sandbox, "hostname", config->hostname);
	rc = put_namespaces(sandbox, shares, in->netns, err);
	return rc < 0 ? rc : put_sysctls(sandbox, config ? config->on_linux : NULL, shares, err);
}

static int fill(json_object *o, const struct pod_in *in,
		const Runtime__V1__PodSandboxConfig *config, struct err *err)
{
	const Runtime__V1__LinuxPodSandboxConfig *pod = config ? config->on_linux : NULL;
	json_object *sandbox;
	struct shares shares;
	int rc = modes_of(&shares, pod, err);

	if (rc == 0 && in->netns[0] && shares.network)
		rc = err_say(err, EINVAL, "the sandbox is to be in the node's network and in %s",
			     in->netns);
	if (rc < 0)
		return rc;
	sandbox = json_object_new_object();
	rc = sandbox ? fill_sandbox(sandbox, in, &shares, config, err)
		     : err_set(err, ENOMEM, "note the sandbox");
	json_put(o, "sandbox", sandbox);
	json_put_int(o, "created_ns", in->at_ns);
	if (in->netns[0])
		json_put_text(o, "netns", in->netns);
	if (rc == 0 && pod)
		rc = put_cgroup(o, pod->cgroup_parent, in->id, err);
	return rc;
}

static int decode(Runtime__V1__PodSandboxConfig **ret, const struct pod_in *in, struct err *err)
{
	const char *slash = strrchr(in->type, '/');
	const char *type = slash ? slash + 1 : in->type;

	if (!type[0])
		return 0;
	if (strcmp(type, POD_TYPE) != 0)
		return err_say(err, ENOTSUP, "the sandbox's options are of type %s, and this shim "
			       "reads " POD_TYPE, type);
	if (in->len > POD_MAX)
		return err_say(err, E2BIG, "the sandbox's options are %zu bytes long, the limit is %d",
			       in->len, POD_MAX);
	*ret = runtime__v1__pod_sandbox_config__unpack(NULL, in->len, in->value);
	return *ret ? 0 : err_say(err, EINVAL, "the sandbox's options are no " POD_TYPE);
}

int pod_request(json_object **ret, const struct pod_in *in, struct err *err)
{
	auto_json json_object *o = json_object_new_object();
	Runtime__V1__PodSandboxConfig *config = NULL;
	const char *text;
	int rc = o ? decode(&config, in, err) : err_set(err, ENOMEM, "note the sandbox");

	if (rc == 0)
		rc = fill(o, in, config, err);
	runtime__v1__pod_sandbox_config__free_unpacked(config, NULL);
	if (rc < 0)
		return rc;
	text = json_write(o);
	if (!text || json_object_get_userdata(o))
		return err_set(err, ENOMEM, "note the sandbox");
	if (strlen(text) > JOURNAL_TEXT_MAX)
		return err_say(err, E2BIG, "what the sandbox asks is %zu bytes long and the journal "
			       "keeps %d", strlen(text), JOURNAL_TEXT_MAX);
	*ret = TAKE_PTR(o);
	return 0;
}
