/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/step/step.h"

extern const struct step_ops step_socket, step_address, step_server, step_bundle, step_mount,
	step_cgroup, step_state, step_init, step_rootfs_choice, step_start, step_signal,
	step_pause, step_resume, step_update, step_checkpoint, step_exec, step_network,
	step_limits, step_launch, step_monitor, step_hook, step_poststop, step_unikernel,
	step_virtiofsd, step_release, step_root;

/* A new kind is one file in this folder, or of what unikernels alone have in
 * supervisor/guest/, and one line here. */
const struct step_ops *const step_kinds[] = {
	&step_socket, &step_address, &step_server, &step_bundle,	&step_mount, &step_cgroup,
	&step_state,  &step_init,    &step_rootfs_choice, &step_start, &step_signal,
	&step_pause,  &step_resume,  &step_update,  &step_checkpoint,	&step_exec,  &step_network,
	&step_limits, &step_launch,  &step_monitor, &step_hook, &step_poststop, &step_unikernel,
	&step_virtiofsd, &step_release, &step_root, NULL,
};
