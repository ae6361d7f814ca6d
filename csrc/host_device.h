// Code that runs on the host and, where nvcc compiles it, on the device too.
#pragma once

#ifdef __CUDACC__
#define FAULTSIM_HD __host__ __device__
#else
#define FAULTSIM_HD
#endif

#ifdef __CUDA_ARCH__
#define FAULTSIM_UNROLL _Pragma("unroll")
#else
#define FAULTSIM_UNROLL
#endif
