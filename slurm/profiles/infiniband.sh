# SPDX-License-Identifier: Apache-2.0
# InfiniBand: RDMA between nodes, shared memory within. Source it before you submit; sbatch and srun
# hand the settings on:
#   source slurm/profiles/infiniband.sh && slurm/run --sbatch PROGRAM
# What is set already stays as it is. Not tried on such a machine yet; the names and values are
# checked against the installed UCX and Open MPI.

# No tcp in the list: without it a broken link or a missing permission ends the job with an error at
# once; with it everything runs over IP, ten times slower, and nobody is told.
export UCX_TLS=${UCX_TLS:-ib,posix,cma,self}

# A message may use two ports of a node that has two; with one port nothing changes.
export UCX_MAX_RNDV_RAILS=${UCX_MAX_RNDV_RAILS:-2}

# The receiver reads large payloads itself, which leaves the sender to its computing.
export UCX_RNDV_SCHEME=${UCX_RNDV_SCHEME:-get_zcopy}

# Open MPI introduces the ranks to each other over the same network.
export OMPI_MCA_pml=${OMPI_MCA_pml:-ucx}

# Open MPI's older way to InfiniBand prints a warning per rank when it finds the card in use by UCX.
export OMPI_MCA_btl=${OMPI_MCA_btl:-^openib}

# The card is named by DEVICE where a node has one that is not for computing, as mlx5_0:1.
if [ -n "${DEVICE:-}" ]; then
    # Otherwise UCX takes what looks fastest, which may be the storage network's.
    export UCX_NET_DEVICES=${UCX_NET_DEVICES:-$DEVICE}
fi
