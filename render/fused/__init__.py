"""A kernel for NVIDIA devices that trains whole runs of the published network on the chip. Not measured on any device.

The only room that imports NVIDIA Warp, which is an extra, and only in the modules that launch kernels.
"""
