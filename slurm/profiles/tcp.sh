# SPDX-License-Identifier: Apache-2.0
# Plain Ethernet: TCP between nodes, shared memory within. Source it before you submit; sbatch and
# srun hand the settings on:
#   INTERFACE=eth1 source slurm/profiles/tcp.sh && slurm/run --sbatch PROGRAM
# What is set already stays as it is.

# Without a list UCX also opens RDMA devices that are there but not cabled, and waits for them.
export UCX_TLS=${UCX_TLS:-tcp,posix,cma,self}

if [ -n "${INTERFACE:-}" ]; then
    # A node often has a slow interface for management as well, and a bridge for containers whose
    # address is the same on all nodes, so that packets for the next node end on this one.
    export UCX_NET_DEVICES=${UCX_NET_DEVICES:-$INTERFACE}

    # The same choice for what mpirun says to its daemons. It holds for the login node too, where
    # salloc's mpirun runs: if the interface has another name there, set this one to the network's
    # addresses instead, which Open MPI takes as well: OMPI_MCA_oob_tcp_if_include=10.1.0.0/16.
    export OMPI_MCA_oob_tcp_if_include=${OMPI_MCA_oob_tcp_if_include:-$INTERFACE}
fi
