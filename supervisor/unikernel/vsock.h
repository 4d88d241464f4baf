/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_UNIKERNEL_VSOCK_H
#define URUNC_UNIKERNEL_VSOCK_H

/*
 * vsock.h - a guest's socket to the node, by which it reaches the agent of vAccel there:
 * what the annotations vAccel and RPCAddress ask for. Pure.
 *
 *   RPCAddress                      monitor
 *   vsock://2:PORT                  qemu: the kernel's own vsock, whose numbers (CIDs) are
 *                                   shared by all guests of the node
 *   unix://FOLDER/vaccel.sock_PORT  firecracker, cloud-hypervisor: one of the monitor's own,
 *                                   which leads to a socket of the node; its number is nobody
 *                                   else's business
 *
 * The guest is told vsock://2:PORT in either case, by VSOCK_ENV.
 */

#include "journal/base/err.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#define VSOCK_ENV  "VACCEL_RPC_ADDRESS="
#define VSOCK_NAME "vaccel.sock" /* of the monitor's own; "_PORT" behind it: the agent's */

/* Numbers of guests: 0 to 2 are the hypervisor, the guest itself and the host, the last one
 * is any. */
#define VSOCK_CID_MIN UINT32_C(3)
#define VSOCK_CID_MAX (UINT32_MAX - 1)

/* Strings are lent. */
struct vsock {
	bool kernel;        /* the number is to be had of the kernel */
	uint32_t port;      /* where the agent listens               */
	const char *folder; /* of the agent's socket, absolute; not NUL-terminated */
	int folder_len;     /* 0: @kernel                            */
};

/**
 * vsock_read() - what is asked for
 * @unikernel:	of annotations.h
 *
 * Return: 1; 0: nothing; -EINVAL a value that can't be followed, by its annotation; -ENOTSUP
 * the monitor has no vsock, or the guest no environment to be told of it.
 */
int vsock_read(struct vsock *ret, json_object *unikernel, struct err *err);

/* A number for a guest, of any 64 bits. */
uint32_t vsock_cid(uint64_t random);

#endif
