/** The configuration of the private containerd and dockerd. */
import type { EngineLayout } from './engine-layout.ts';

/**
 * containerd's configuration, in the form that containerd 1.6 to 2.x read (containerd-config.toml(5)). The plugins
 * left out serve Kubernetes or write outside the engine's folder (`/opt/containerd`, `/run/nri`).
 */
export function containerdConfig(layout: EngineLayout): string {
  const unused = [
    'io.containerd.grpc.v1.cri',
    'io.containerd.cri.v1.images',
    'io.containerd.cri.v1.runtime',
    'io.containerd.podsandbox.controller.v1.podsandbox',
    'io.containerd.nri.v1.nri',
    'io.containerd.internal.v1.opt',
  ];
  return `version = 2
root = ${tomlString(layout.containerdRoot)}
state = ${tomlString(`${layout.runtime}/containerd`)}
disabled_plugins = [${unused.map(tomlString).join(', ')}]

[grpc]
address = ${tomlString(layout.containerdSocket)}
`;
}

/**
 * Where a Docker Engine keeps images and build results: in containerd, or in its own graph drivers, with which its
 * BuildKit refuses MergeOp and DiffOp. The older store is the default up to Docker 28.
 */
export type ImageStore = 'containerd' | 'graphdriver';

/** The storage driver of each store, as `/info` tells it. */
export const STORAGE_DRIVERS: Readonly<Record<ImageStore, string>> = {
  containerd: 'overlayfs',
  graphdriver: 'overlay2',
};

/**
 * dockerd's configuration (dockerd(8), daemon.json). No bridge, no firewall rules, no forwarding: it changes nothing
 * of the machine's network, and build steps use the host's. cgroups are made directly, not through systemd, so that
 * the build steps are found below `layout.cgroup` on every machine.
 */
export function dockerConfig(layout: EngineLayout, imageStore: ImageStore): string {
  return `${JSON.stringify(
    {
      hosts: [`unix://${layout.dockerSocket}`],
      'data-root': layout.dockerRoot,
      'exec-root': `${layout.runtime}/docker`,
      pidfile: layout.pidFile,
      containerd: layout.containerdSocket,
      features: { 'containerd-snapshotter': imageStore === 'containerd' },
      'storage-driver': STORAGE_DRIVERS[imageStore],
      builder: { entitlements: { 'network-host': true, 'security-insecure': true } },
      bridge: 'none',
      iptables: false,
      ip6tables: false,
      'ip-forward': false,
      'ip-masq': false,
      'userland-proxy': false,
      'cgroup-parent': layout.cgroup,
      'exec-opts': ['native.cgroupdriver=cgroupfs'],
    },
    undefined,
    2,
  )}\n`;
}

/**
 * A `runc` that keeps its state in the engine's own folder instead of `/run/runc`. BuildKit calls it for each build
 * step (`DOCKER_BUILDKIT_RUNC_COMMAND`).
 */
export function runcWrapper(layout: EngineLayout, runc: string): string {
  return `#!/bin/sh\nexec ${shellString(runc)} --root ${shellString(layout.runcRoot)} "$@"\n`;
}

/** A basic string of TOML 1.0, whose escapes include those of JSON. */
function tomlString(text: string): string {
  return JSON.stringify(text);
}

function shellString(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
