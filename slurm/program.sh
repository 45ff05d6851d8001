# SPDX-License-Identifier: Apache-2.0
# Sourced by slurm/run: which executable PROGRAM is, built where it is one of this tree.

set_up() {
    "$top/slurm/setup" build app || {
        # A user's program needs no libtorch; only what the engine needs is worth stopping for.
        "$top/slurm/setup" --check build 2>/dev/null || exit 2
    }
}

configure() {
    [[ -e $build/build.ninja ]] && return
    echo 'slurm/run: configuring' >&2
    mkdir -p "$build"
    meson setup "$build" "$top" >"$build/configure.log" 2>&1 || {
        tail -n 20 "$build/configure.log" >&2
        echo "slurm/run: meson setup failed; all it said is in $build/configure.log" >&2
        exit 1
    }
}

# The path of a program of the tree below the build folder; empty when there is none of the name.
target_of() {
    ninja -C "$build" -t targets all 2>/dev/null |
        sed -n "s,^\(\(src\|bench\)/\([^:]*/\)\?${1//./\\.}\): .*,\1,p" | head -n 1
}

programs_of_tree() {
    ninja -C "$build" -t targets all 2>/dev/null |
        sed -n 's,^src/\(apps\|tools\)/\([^:]*/\)\?\([A-Za-z0-9_-]*\): cpp_LINKER.*,\3,p' |
        sort | tr '\n' ' '
}

# One line that is rewritten on a terminal; in a log a line at the beginning and now and then.
compile() {
    local target=$1
    if [[ -t 2 ]]; then
        NINJA_STATUS='slurm/run: building [%f/%t] ' ninja -C "$build" --quiet "$target" >&2 &&
            return
    else
        NINJA_STATUS='[%f/%t] ' ninja -C "$build" "$target" 2>&1 | tell_of_building && return
        grep -v '^\[[0-9]*/[0-9]*\]' "$build/compile.log" | tail -n 40 >&2
    fi
    echo "slurm/run: $program did not build" >&2
    exit 1
}

# Keeps what ninja says, and passes on how far it is: at once, and twice a minute.
tell_of_building() {
    local line next=0
    while IFS= read -r line; do
        printf '%s\n' "$line"
        [[ $line =~ ^(\[[0-9]+/[0-9]+\]) ]] && ((SECONDS >= next)) || continue
        echo "slurm/run: building ${BASH_REMATCH[1]}" >&2
        next=$((SECONDS + 30))
    done >"$build/compile.log"
}

# The two bytes of an ELF file that name its machine, and the one that tells its word size.
elf_machine() { od -An -tx1 -j4 -N16 -- "$1" | awk '{ print $1, $15, $16 }'; }

# A launcher would start it all the same, and tell of each rank in its own words.
refuse_what_does_not_run() {
    local interpreter
    [[ -f $executable && -x $executable ]] || refuse "$program is no executable file"
    case $(od -An -tx1 -N4 -- "$executable" | tr -d ' ') in
        7f454c46)
            [[ $(elf_machine "$executable") == "$(elf_machine "/proc/$$/exe")" ]] ||
                refuse "$program is a program for another kind of machine"
            ;;
        2321*)
            read -r interpreter _ < <(head -n 1 -- "$executable" | tr -d '\0' | cut -c 3-) || true
            [[ -f $interpreter && -x $interpreter ]] ||
                refuse "$program is a script whose interpreter $interpreter is no executable file"
            ;;
        *)
            refuse "$program is neither a program for this machine nor a script that begins with #!"
            ;;
    esac
}

# Sets `executable`, built and ready.
find_program() {
    if [[ $program == */* ]]; then
        executable=$(realpath -s -- "$program" 2>/dev/null) ||
            refuse "$program is no path that leads to a file"
        $dry_run || refuse_what_does_not_run
        return
    fi
    local target=''
    if ! $dry_run && $build_first; then
        set_up
        configure
    fi
    [[ $program =~ ^[A-Za-z0-9_.+-]+$ ]] ||
        refuse "'$program' is no program's name: letters, digits, and any of _ . + -"
    [[ ! -e $build/build.ninja ]] || target=$(target_of "$program")
    if [[ -z $target ]] && ! $dry_run && $build_first; then
        # What the program needs may have been installed since the folder was configured.
        meson setup --reconfigure "$build" >"$build/configure.log" 2>&1 || true
        target=$(target_of "$program")
    fi
    # Nothing is known of a tree that was never configured.
    if [[ -z $target && ! -e $build/build.ninja ]] && $dry_run; then target=src/apps/$program; fi
    [[ -n $target ]] || refuse "there is no program $program in this build; there are: $(
        programs_of_tree)(those that train ConvNets need libtorch)"
    if ! $dry_run && $build_first; then compile "$target"; fi
    executable=$build/$target
    $dry_run || [[ -x $executable ]] || refuse "$program is not built yet; leave out --no-build"
}
