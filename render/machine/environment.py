"""Environment variables: those of JAX, XLA and the C library, sorted by their effect on samples, and those of render.

A sample must not depend on the environment. So each option of JAX is listed in one of three tables. `render.train` sets
the options in `RESULTS` (they can change bits) and `STEADY` (they can stop, slow or misplace a training run). Options
in `FREE` (they choose the log output, or the devices) are left to the user. A test checks that every option of the
installed JAX is in a table. The variable of an option that is in none is hidden from JAX.

XLA has hundreds of flags, which differ between versions, and some GPUs need them. The user's flags take effect, but all
flags that are not known to be harmless become part of the numerics, as do the variables in `OTHERS`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from render.errors import RenderError

# Options of JAX that can change bits: name -> what `render.train` sets them to. Every value but that of
# jax_enable_x64 is JAX's own default, from 0.10.2 to 0.12.0.
RESULTS: dict[str, object] = {
    "jax_enable_x64": True,
    # Draws.
    "jax_default_prng_impl": "threefry2x32",
    "jax_random_seed_offset": 0,
    "jax_threefry_partitionable": True,
    "jax_threefry_gpu_kernel_lowering": False,
    "jax_enable_custom_prng": False,
    "jax_high_dynamic_range_gumbel": False,
    "jax_accurate_erf_inv": False,
    # How operations are written down for XLA.
    "jax_default_matmul_precision": None,
    "jax_allow_f16_reductions": True,
    "jax_softmax_custom_jvp": False,
    "jax_use_hlo_logistic_lowering": None,
    "jax_use_direct_linearize": True,
    "jax_use_simplified_jaxpr_constants": False,
    "jax_embedded_constants_max_bytes": 32,
    "jax_custom_jvp3": False,
    "jax_custom_vjp3": False,
    "jax_scan3": False,
    "jax_remat3": False,
    "jax_remat_barrier_no_cotangents": False,
    "jax_refs_to_pins": False,
    "jax_use_rgv3": True,
    "jax2tf_associative_scan_reductions": False,
    "jax_bcoo_cusparse_lowering": False,
    "jax_ragged_dot_use_ragged_dot_instruction": True,
    "jax_ragged_dot_use_gpu_pallas_triton_lowering": False,
    "jax_use_magma": "auto",
    "eager_constant_folding": False,
    "jax_disable_jit": False,
    # How XLA compiles them.
    "jax_disable_most_optimizations": False,
    "jax_optimization_level": "UNKNOWN",
    "jax_exec_time_optimization_effort": 0.0,
    "jax_memory_fitting_effort": 0.0,
    "jax_memory_fitting_level": "O2",
    "jax_compiler_enable_remat_pass": True,
    "jax_use_shardy_partitioner": True,
    "jax_enable_pgle": False,
    "jax_xla_profile_version": 0,
    "jax_no_execution": False,
    "jax_pallas_poison_buffers": False,
}

# Options of JAX that change no bit, but can stop, slow or misplace a training run. They are also set.
STEADY: dict[str, object] = {
    "jax_debug_nans": False,
    "jax_debug_infs": False,
    "jax_debug_key_reuse": False,
    "jax_enable_checks": False,
    "jax_check_tracer_leaks": False,
    "jax_check_static_indices": False,
    "check_vma": False,
    "jax_no_tracing": False,
    "jax_thread_guard": False,
    "jax_transfer_guard": None,
    "jax_transfer_guard_host_to_device": None,
    "jax_transfer_guard_device_to_device": None,
    "jax_transfer_guard_device_to_host": None,
    "jax_array_garbage_collection_guard": None,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_explicit_x64_dtypes": "warn",
    "jax_legacy_prng_key": "allow",
    "jax_error_checking_behavior_divide": "ignore",
    "jax_error_checking_behavior_nan": "ignore",
    "jax_error_checking_behavior_oob": "ignore",
    "jax_disable_bwd_checks": False,
    "jax_disable_vmap_shmap_error": False,
    "jax_disallow_mesh_context_manager": False,
    "jax_raise_on_ppermute_sort_diff": True,
    "jax_remove_size_one_mesh_axis_from_type": False,
    "jax_auto_pcast": True,
    "jax_mutable_array_checks": True,
    "jax_default_device": None,
    "jax_xla_backend": "",
    "jax_backend_target": "",
    "jax_mock_gpu_topology": "",
    "mock_num_gpu_processes": 0,
    "jax_cpu_enable_async_dispatch": True,
    "jax_use_cpp_shard_args": False,
    "jax_experimental_unsafe_xla_runtime_errors": False,
    "jax_send_traceback_to_runtime": "off",
    "jax_debug_leaked_clients_on_clear_backends": False,
    # The cache of compiled kernels.
    "jax_raise_persistent_cache_errors": False,
    "jax_compilation_cache_check_contents": False,
    "jax_compilation_cache_expect_pgle": False,
    "jax_compilation_cache_max_size": -1,
    "jax_compilation_cache_include_metadata_in_key": False,
    "jax_remove_custom_partitioning_ptr_from_cache_key": False,
    "jax_share_binary_between_hosts": False,
    "jax_persistent_cache_enable_xla_caches": "xla_gpu_per_fusion_autotune_cache_dir",
    # Exported programs and hand-written kernels, which render does not use.
    "jax2tf_default_native_serialization": True,
    "jax_export_calling_convention_version": 10,
    "jax_export_ignore_forward_compatibility": False,
    "jax_export_deserialize_expired_versions": False,
    "jax_serialization_version": 0,
    "jax_mosaic_allow_hlo": False,
    "jax_mosaic_unzip_debug_locations": True,
    "jax_pallas_enable_debug_checks": False,
    "jax_pallas_use_mosaic_gpu": True,
    "jax_pallas_auto_assign_collective_ids": "no",
    "jax_pallas_auto_assign_collective_ids_limit": 25,
    "jax_use_emit_pipeline_primitive": False,
}

# Options of JAX that `render.train` sets to suit the machine.
OURS = frozenset(
    {
        "jax_num_cpu_devices",
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    }
)

# Options of JAX that are left to the user: they can change neither a bit nor whether training goes on.
FREE = frozenset(
    {
        # The devices, which are part of the numerics.
        "jax_platforms",
        "jax_platform_name",
        "jax_cuda_visible_devices",
        "jax_rocm_visible_devices",
        "jax_oneapi_visible_devices",
        "jax_pjrt_client_create_options",
        # The cache of compiled kernels.
        "jax_enable_compilation_cache",
        # Logs and files for developers.
        "jax_captured_constants_report_frames",
        "jax_captured_constants_warn_bytes",
        "jax_compiler_detailed_logging_min_ops",
        "jax_debug_log_modules",
        "jax_dump_ir_modes",
        "jax_dump_ir_to",
        "jax_explain_cache_misses",
        "jax_hlo_source_file_canonicalization_regex",
        "jax_include_debug_info_in_dumps",
        "jax_include_full_tracebacks_in_locations",
        "jax_log_checkpoint_residuals",
        "jax_log_compiles",
        "jax_logging_level",
        "jax_pallas_verbose_errors",
        "jax_pprint_use_color",
        "jax_source_url_schema",
        "jax_traceback_filtering",
        "jax_traceback_in_locations_limit",
        "jax_tracer_error_num_traceback_frames",
        "jax_pgle_aggregation_percentile",
        "jax_pgle_profiling_runs",
        # Programs that span hosts. Each process of render uses its own host only.
        "jax_check_proxy_envs",
        "jax_cpu_collectives_implementation",
        "jax_cpu_get_global_topology_timeout_minutes",
        "jax_cpu_get_local_topology_timeout_minutes",
        "jax_cross_host_transfer_socket_address",
        "jax_cross_host_transfer_timeout_seconds",
        "jax_cross_host_transfer_transfer_size",
        "jax_cross_host_transport_addresses",
        "jax_distributed_debug",
        "jax_distributed_verify_secure_credentials",
        "jax_enable_preemption_service",
        "jax_enable_recoverability",
        "jax_force_dcn_cross_host_transfers",
        "jax_mtls_ca_file",
        "jax_mtls_cert_file",
        "jax_mtls_key_file",
        "jax_mtls_peer_uri_prefix",
        "jax_share_binary_between_hosts_timeout_ms",
        "jax_sort_devices_by_process_index",
    }
)

# Flags of XLA that only write, log or count, as do all flags that begin with _DUMPS.
HARMLESS_FLAGS = frozenset(
    {
        "xla_detailed_logging",
        "xla_enable_dumping",
        "xla_embed_ir_in_executable",
        "xla_hlo_print_inline_stack_frames",
        "xla_cpu_enable_xprof_traceme",
        "xla_gpu_dump_autotune_logs_to",
        "xla_gpu_enable_llvm_module_compilation_parallelism",
        "xla_gpu_force_compilation_parallelism",
    }
)
_DUMPS = "xla_dump_"

# Flags of XLA that override the user's. One XLA device per core, each running its own blocks, is faster than one device
# whose operations are split over the cores: a block of 16 lanes is too small to split. So XLA's own threads inside a
# product are turned off (on two cores with two devices a step of a sample takes 6.2 us, and 11.4 us with them on).
# `render.machine.cores` sets the number of devices; JAX accepts only one setting of it.
SET_FLAGS: dict[str, str | None] = {"xla_cpu_multi_thread_eigen": "false", "xla_force_host_platform_device_count": None}

# Variables of other libraries that can change the last bits of samples.
OTHERS = (
    "CUBLAS_WORKSPACE_CONFIG",
    "NVIDIA_TF32_OVERRIDE",
    "LIBTPU_INIT_ARGS",
    # Of the compilers that XLA contains.
    "TRITON_F32_DEFAULT",
    "TRITON_DEFAULT_FP_FUSION",
    "TRITON_OVERRIDE_ARCH",
    "LLVM_PASS_PLUGIN_PATH",
)

# Variables that choose how the BLAS and LAPACK of NumPy sum. They matter to a problem that uses NumPy for products or
# decompositions of matrices. (OPENBLAS_CORETYPE=Haswell and SkylakeX give different teachers. The number of threads
# made no difference at any size that a scene may have.)
BLAS = ("OPENBLAS_CORETYPE", "BLIS_ARCH_TYPE", "MKL_CBWR", "MKL_DEBUG_CPU_TYPE", "MKL_ENABLE_INSTRUCTIONS")

# The features of the processor are read from NumPy and are part of the numerics, so these variables must not hide any.
_HIDE_PROCESSOR = ("NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES")

# The variables of render: name -> the permitted values.
OUR_VARIABLES = {"RENDER_CPU_DEVICES": "a whole number from 1 to 1024", "RENDER_FSYNC": "0 or 1"}


@functools.cache
def numerics(blas: bool) -> dict[str, str]:
    """Return the part of the numerics that comes from this process's environment: empty on nearly every machine.

    blas: whether the problem uses NumPy for products or decompositions of matrices. XLA reads its flags only once, so
    the result is cached. Raises RenderError, see `numerics_of`.
    """
    return numerics_of(os.environ, blas)


def numerics_of(environ: Mapping[str, str], blas: bool = True) -> dict[str, str]:
    """Return the part of the numerics that comes from an environment: "settings" lists what can change bits.

    Raises RenderError for an environment that hides features of the processor.
    """
    for name in _HIDE_PROCESSOR:
        if environ.get(name):
            raise RenderError(
                f"{name} must not be set, but it is {environ[name]!r}: samples are kept apart by the processor's "
                f"vector instructions, and it hides them. Unset it (unset {name}), and run the same command again."
            )
    settings = [f"{name}={environ[name]}" for name in (*(BLAS if blas else ()), *OTHERS) if environ.get(name)]
    tunables = [part for part in environ.get("GLIBC_TUNABLES", "").split(":") if part.startswith("glibc.cpu.")]
    settings += [f"GLIBC_TUNABLES={part}" for part in sorted(tunables)]
    flags = {name: value for name, value in xla_flags(environ).items() if not _is_harmless(name)}
    settings += [f"--{name}={value}" for name, value in sorted(flags.items()) if name not in SET_FLAGS]
    return {"settings": " ".join(settings)} if settings else {}


def _is_harmless(flag: str) -> bool:
    return flag in HARMLESS_FLAGS or flag.startswith(_DUMPS)


def xla_flags(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the flags that XLA_FLAGS gives, or the file that it names: name -> value. Raises RenderError."""
    text = environ.get("XLA_FLAGS", "").strip()
    try:
        if text and not text.startswith("--"):
            text = Path(text).read_text(encoding="utf-8")
        words = shlex.split(text)
        if any(not word.startswith("--") for word in words):
            raise ValueError(f"{next(word for word in words if not word.startswith('--'))!r} is not a flag")
    except (OSError, ValueError) as error:
        raise RenderError(
            "XLA_FLAGS must be flags such as --xla_dump_to=/tmp/dump, or name a file of them, but it is "
            f"{environ['XLA_FLAGS']!r}: {error}. Set it to flags, or unset it (unset XLA_FLAGS)."
        ) from error
    pairs = (word[2:].partition("=") for word in words)
    # The last value of a flag counts. A flag without a value is switched on.
    return {name: value if equals else "true" for name, equals, value in pairs}


def with_our_flags(environ: Mapping[str, str]) -> str:
    """Return XLA_FLAGS for this process: the user's flags and SET_FLAGS."""
    flags: dict[str, str | None] = {**xla_flags(environ), **SET_FLAGS}
    return " ".join(f"--{name}={_quoted(value)}" for name, value in flags.items() if value is not None)


def _quoted(value: str) -> str:
    return shlex.quote(value) if any(letter in " \t\n\"'" for letter in value) else value


def without_effect() -> list[str]:
    """Return the names of the variables that are set for JAX but have no effect here, sorted."""
    free = {name.upper() for name in FREE}
    ours = {name.upper() for table in (RESULTS, STEADY, OURS) for name in table}
    return sorted(
        name for name in os.environ if name in ours or (name.startswith(("JAX_", "JAX2TF_")) and name not in free)
    )


@contextlib.contextmanager
def hidden_from_jax() -> Iterator[None]:
    """Remove all variables in `without_effect` during the with-block, and set them again afterwards."""
    hidden = {name: os.environ.pop(name) for name in without_effect()}
    try:
        yield
    finally:
        os.environ.update(hidden)


def user_settings() -> str:
    """Return the variables for JAX that the user may set and has set, for an error message: "A=1 and B=2"."""
    names = sorted(name.upper() for name in FREE if os.environ.get(name.upper()))
    return " and ".join(f"{name}={os.environ[name]}" for name in names)


def whole_number(name: str) -> int | None:
    """Return the value of one of render's variables; None if it is not set or empty. Raises RenderError."""
    text = os.environ.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= 1024):
        raise _not_understood(name, text)
    return int(text)


def switch(name: str) -> bool:
    """Return whether one of render's variables is 1; False if it is not set or empty.

    Raises RenderError for anything but 0 and 1.
    """
    text = os.environ.get(name, "").strip()
    if text not in ("", "0", "1"):
        raise _not_understood(name, text)
    return text == "1"


def _not_understood(name: str, text: str) -> RenderError:
    return RenderError(
        f"{name} must be {OUR_VARIABLES[name]}, not {text!r}. Set it to that, or unset it (unset {name})."
    )
