// Compiled once for each instruction set, with FAULTSIM_ISA naming the namespace.
#include "scan_kernel.h"

#include "scan_backward.h"
#include "scan_forward.h"

namespace faultsim {
namespace FAULTSIM_ISA {

extern const ScanKernels scan_float, scan_double;
const ScanKernels scan_float = {forward_tasks<float>, forward_scratch<float>, forward<float>,
                                backward_scratch<float>, backward<float>};
const ScanKernels scan_double = {forward_tasks<double>, forward_scratch<double>, forward<double>,
                                 backward_scratch<double>, backward<double>};

}  // namespace FAULTSIM_ISA
}  // namespace faultsim
