# SPDX-License-Identifier: Apache-2.0
# Slingshot: UCX has no transport for its cards and so uses their TCP, shared memory within a node.
# Source it before you submit; sbatch and srun hand the settings on:
#   source slurm/profiles/slingshot.sh && slurm/run --sbatch PROGRAM
# What is set already stays as it is. Not tried on such a machine yet; the names and values are
# checked against the installed UCX and Open MPI.

# The cards pretend to be RDMA devices to UCX and then refuse work; TCP over them is what runs.
export UCX_TLS=${UCX_TLS:-tcp,posix,cma,self}

# Slingshot's own interfaces are called hsn0, hsn1, ...; eth0 or nmn0 would be the management's.
export UCX_NET_DEVICES=${UCX_NET_DEVICES:-hsn0}

# Larger pieces cost fewer system calls on a link of 200 Gbit/s; the usual ones are of 8 KiB.
export UCX_TCP_TX_SEG_SIZE=${UCX_TCP_TX_SEG_SIZE:-64K}

# A receive buffer must hold what one send may bring.
export UCX_TCP_RX_SEG_SIZE=${UCX_TCP_RX_SEG_SIZE:-64K}

# The same interface for what mpirun says to its daemons. It holds for the login node too, where
# salloc's mpirun runs: if there is no hsn0, set this one to the addresses of a network that all of
# them share, which Open MPI takes as well: OMPI_MCA_oob_tcp_if_include=10.1.0.0/16.
export OMPI_MCA_oob_tcp_if_include=${OMPI_MCA_oob_tcp_if_include:-hsn0}
