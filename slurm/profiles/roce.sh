# SPDX-License-Identifier: Apache-2.0
# RoCE: RDMA over Ethernet between nodes, shared memory within. Source it before you submit; sbatch
# and srun hand the settings on:
#   DEVICE=mlx5_0:1 source slurm/profiles/roce.sh && slurm/run --sbatch PROGRAM
# What is set already stays as it is. Not tried on such a machine yet; the names and values are
# checked against the installed UCX and Open MPI. Ask your site for DEVICE and TRAFFIC_CLASS.

# No tcp in the list: a card that cannot do RDMA then ends the job at once, not in slow motion.
export UCX_TLS=${UCX_TLS:-ib,posix,cma,self}

# The index of the address that the switches route: on most RoCE v2 cards 3, and UCX 1.13 may pick
# one of version 1, which does not leave the rack.
export UCX_IB_GID_INDEX=${UCX_IB_GID_INDEX:-3}

# The class of traffic that the switches do not drop; 106 stands for DSCP 26, the usual one. In
# another class RDMA works until the network is busy and then stalls.
export UCX_RC_MLX5_TRAFFIC_CLASS=${UCX_RC_MLX5_TRAFFIC_CLASS:-${TRAFFIC_CLASS:-106}}

# The same for datagrams, over which connections are made.
export UCX_UD_MLX5_TRAFFIC_CLASS=${UCX_UD_MLX5_TRAFFIC_CLASS:-${TRAFFIC_CLASS:-106}}

# The same for connections that many peers share, which UCX takes beyond a few hundred ranks.
export UCX_DC_MLX5_TRAFFIC_CLASS=${UCX_DC_MLX5_TRAFFIC_CLASS:-${TRAFFIC_CLASS:-106}}

# Open MPI introduces the ranks to each other over the same network.
export OMPI_MCA_pml=${OMPI_MCA_pml:-ucx}

# Open MPI's older way to such cards prints a warning per rank when it finds the card in use by UCX.
export OMPI_MCA_btl=${OMPI_MCA_btl:-^openib}

if [ -n "${DEVICE:-}" ]; then
    # A node's Ethernet card for management looks like one for RDMA to UCX.
    export UCX_NET_DEVICES=${UCX_NET_DEVICES:-$DEVICE}
fi
