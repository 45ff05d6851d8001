# SPDX-License-Identifier: Apache-2.0
# Sourced by `head`: writes the cluster's own files under /etc, which is a private copy there.

write_config() {
    local i sockets=1
    ((cpus % 2)) || sockets=2

    {
        echo "127.0.0.1 localhost"
        echo "10.77.0.1 head"
        for ((i = 1; i <= nodes; i++)); do echo "10.77.0.$((10 + i)) n$i"; done
    } >/etc/hosts

    # Two ordinary users, so that nothing works only because it runs as root.
    local user id=60001
    for user in alice bob; do
        echo "$user:x:$id:$id::$state/scratch/$user:/bin/bash" >>/etc/passwd
        echo "$user:x:$id:" >>/etc/group
        mkdir -p "$state/scratch/$user"
        chown "$id:$id" "$state/scratch/$user"
        id=$((id + 1))
    done

    mkdir -p /etc/slurm
    cat >/etc/slurm/slurm.conf <<END
ClusterName=mobula
SlurmctldHost=head(10.77.0.1)
SlurmUser=root
AuthType=auth/munge
# A requeued job may start again once its old credentials have expired: 2 minutes if left alone.
AuthInfo=socket=$state/local/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$state/local/ctld
SlurmctldPidFile=$state/local/ctld/pid
SlurmdPidFile=$state/local/spool/pid
SlurmdSpoolDir=$state/local/spool
# The program to run decides: mobula asks for pmix, other steps need none.
MpiDefault=none
# Namespaces end a node's processes; control groups would be shared with the machine around.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/$plugin
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$state/log/jobs.log
SwitchType=switch/none
# Cores, not nodes, are handed out: jobs of two users may share a node.
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
# More CPUs than the machine has may be promised; a test cluster is for behaviour, not for speed.
SlurmdParameters=config_overrides
# A node that is killed or cut off is noticed within seconds and comes back by itself.
SlurmdTimeout=6
TCPTimeout=2
ReturnToService=2
KillWait=5
# A finished job can be asked about for as long as a test may want to know how it ended.
MinJobAge=600
SchedulerParameters=sched_interval=1,batch_sched_delay=1,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
NodeName=DEFAULT Sockets=$sockets CoresPerSocket=$((cpus / sockets)) ThreadsPerCore=1
NodeName=DEFAULT RealMemory=4000 Gres=gpu:2
NodeName=n[1-$nodes] NodeAddr=10.77.0.[11-$((10 + nodes))]
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime=4 MaxTime=60 State=UP
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF MaxTime=60 State=UP
END
    # Any device file will do: Slurm only counts them and sets CUDA_VISIBLE_DEVICES.
    echo "NodeName=n[1-$nodes] Name=gpu File=/dev/null,/dev/zero" >/etc/slurm/gres.conf
    # Where control groups are not mounted, Slurm must not try to find out which version they are.
    echo "CgroupPlugin=cgroup/v1" >/etc/slurm/cgroup.conf
    echo "PMIxCliTmpDirBase=$state/local/pmix" >/etc/slurm/mpi.conf
}
