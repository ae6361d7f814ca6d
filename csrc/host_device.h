// Code that runs on the host and, where nvcc compiles it, on the device too.
#pragma once

#ifdef __CUDACC__
#define FAULTSIM_HD __host__ __device__
#else
#define FAULTSIM_HD
#endif
